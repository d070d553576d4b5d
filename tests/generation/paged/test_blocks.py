"""Pages: who holds them, and which prefixes are found again."""

from r1ray.generation.paged.blocks import BlockPool, prefix_hashes


def test_a_hash_depends_on_everything_before_its_page() -> None:
    one, other = prefix_hashes([1, 2, 3, 4, 5], 2), prefix_hashes([9, 2, 3, 4], 2)
    assert len(one) == 2 and len(other) == 2
    assert one[1] != other[1], "the second pages hold equal tokens behind different first ones"
    assert prefix_hashes([1, 2, 3, 4], 2, salt=b"tenant") != one


def test_published_pages_are_found_until_they_are_needed() -> None:
    pool = BlockPool(3, 2)
    hashes = prefix_hashes([1, 2, 3, 4], 2)
    pages = pool.take(2)
    for page, digest in zip(pages, hashes, strict=True):
        pool.publish(page, digest)
    pool.release(pages)
    assert pool.free == 3 and pool.cached(hashes) == pages
    pool.hold(pages)
    assert pool.free == 1
    pool.release(pages)
    pool.take(2)  # the page without contents first, then the end of the prefix
    assert pool.cached(hashes) == pages[:1]


def test_what_is_held_twice_stays_after_one_release() -> None:
    pool = BlockPool(2, 2)
    pages = pool.take(1)
    pool.hold(pages)
    pool.release(pages)
    assert pool.free == 1
    pool.release(pages)
    assert pool.free == 2


def test_forgetting_keeps_pages_but_finds_no_prefix() -> None:
    pool = BlockPool(2, 2)
    hashes = prefix_hashes([1, 2], 2)
    pages = pool.take(1)
    pool.publish(pages[0], hashes[0])
    pool.forget()
    assert pool.cached(hashes) == [] and pool.free == 1
