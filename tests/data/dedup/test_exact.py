from r1ray.data.dedup.exact import digest, repeats


def test_case_and_white_space_do_not_count_and_brackets_do():
    assert digest("Mia  has\n3 eggs") == digest("mia has 3 EGGS ")
    assert digest("(2 + 3) * 4") != digest("2 + 3 * 4")
    assert digest("3 eggs") != digest("4 eggs")


def test_composed_and_decomposed_accents_are_the_same_text():
    assert digest("caf\u00e9") == digest("CAFE\u0301")


def test_a_row_repeats_the_first_of_its_text():
    assert repeats(["x", "y", "x", "x"], ["a", "b", "c", "d"], [""] * 4) == [-1, -1, 0, 0]


def test_a_variant_never_repeats_its_parent_but_may_repeat_its_sibling_or_a_stranger():
    assert repeats(["x", "x", "x"], ["a", "v", "w"], ["", "a", "a"]) == [-1, -1, 1]
    assert repeats(["x", "x"], ["a", "v"], ["", "b"]) == [-1, 0]
