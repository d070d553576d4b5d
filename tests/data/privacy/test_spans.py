from r1ray.data.privacy.spans import Span, without_overlaps


def test_the_longer_of_two_overlapping_places_stays():
    short, long, far = Span(3, 6, "A", "a"), Span(2, 9, "B", "b"), Span(9, 12, "A", "a")
    assert without_overlaps([far, short, long]) == [long, far]


def test_of_equal_places_the_first_given_stays():
    assert without_overlaps([Span(0, 4, "A", "a"), Span(0, 4, "B", "b")]) == [Span(0, 4, "A", "a")]
