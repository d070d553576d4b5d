"""Which rows share a bucket of like lengths, and which of them one micro-batch."""

from bisect import bisect_left, insort
from collections.abc import Sequence


def bucket_of(length: int) -> int:
    """Upper bound of the row's bucket: the next power of two. Packed attention joins segments by the same bounds."""
    return 1 << max(0, length - 1).bit_length()


def packs_of(lengths: Sequence[int], pack_tokens: int) -> list[list[int]]:
    """Rows dealt into packs of at most `pack_tokens`: best fit decreasing, at most 11/9 of the least number of packs
    (and 1). A row longer than that is a pack by itself. The same lengths always give the same packs.
    """
    packs: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # (tokens that still fit, pack), ascending
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        place = bisect_left(rooms, (lengths[row], -1))
        if place < len(rooms):
            room, pack = rooms.pop(place)
        else:
            room, pack = max(pack_tokens, lengths[row]), len(packs)
            packs.append([])
        packs[pack].append(row)
        insort(rooms, (room - lengths[row], pack))
    return packs
