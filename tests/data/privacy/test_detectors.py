import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1ray.config import corpus
from r1ray.data.privacy.detectors import DETECTORS
from r1ray.data.privacy.spans import without_overlaps


def found(text: str) -> list[tuple[str, str]]:
    spans = without_overlaps(span for detector in DETECTORS.values() for span in detector(text))
    return [(span.kind, text[span.start : span.end]) for span in spans]


def test_the_configuration_names_every_detector():
    assert set(DETECTORS) == set(corpus.DETECTORS)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Write to mia.b+x@mail.example.org.", "EMAIL", "mia.b+x@mail.example.org"),
        ("<jörg@müller.de>", "EMAIL", "jörg@müller.de"),
        ("pay with 4111 1111 1111 1111 today", "CREDIT_CARD", "4111 1111 1111 1111"),
        ("4111-1111-1111-1111", "CREDIT_CARD", "4111-1111-1111-1111"),
        ("378282246310005,", "CREDIT_CARD", "378282246310005"),
        ("my card is 6759649826438453.", "CREDIT_CARD", "6759649826438453"),
        ("IBAN GB82 WEST 1234 5698 7654 32", "IBAN", "GB82 WEST 1234 5698 7654 32"),
        ("to gb82west12345698765432 please", "IBAN", "gb82west12345698765432"),
        ("seen from 86.121.97.248.", "IP", "86.121.97.248"),
        ("[2a00:1450:4001:81b::200e]", "IP", "2a00:1450:4001:81b::200e"),
        ("SSN 460-89-9847", "NATIONAL_ID", "460-89-9847"),
        ("NINO AB 12 34 56 C", "NATIONAL_ID", "AB 12 34 56 C"),
        ("DNI 12345678Z", "NATIONAL_ID", "12345678Z"),
        ("CF RSSMRA85T10A562S", "NATIONAL_ID", "RSSMRA85T10A562S"),
        ("CPF 111.444.777-35", "NATIONAL_ID", "111.444.777-35"),
        ("ID 11010519491231002X", "NATIONAL_ID", "11010519491231002X"),
        ("(602) 272-9781", "PHONE", "(602) 272-9781"),
        ("905-674-3793.", "PHONE", "905-674-3793"),
        ("001-253-366-9781x45", "PHONE", "001-253-366-9781x45"),
        ("+46 (0)8 928 571 38", "PHONE", "+46 (0)8 928 571 38"),
        ("0490 75 40 81", "PHONE", "0490 75 40 81"),
        ("Phone: 467 3395", "PHONE", "467 3395"),
        ("call me at 9472 7916", "PHONE", "9472 7916"),
        ("416 60 039 office", "PHONE", "416 60 039"),
    ],
)
def test_personal_data_is_found_whole(text, kind, value):
    assert found(text) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "1234567 + 7654321 = 8888888",
        "There are 4111111111111111 = 3 x 1370370370370370 + 1 of them",
        "6759649826438453 is a large number",  # Maestro's prefix and check digit, and no word like card
        "He has 10 20 30 40 50 60 70 coins",
        "1 000 000 000 people, 12 345 678 of them",
        "555-123-4567 = -4135",
        "0.123456789012",
        "$4,111,111,111,111.11",
        "In 1990-1995 and 2001-2005, 3:45:12 hours, 12/05/2001",
        "Section 12.10.44.13 and version 10.20.30.40",
        "1.2.3.4 and 127.0.0.1 and 192.168.10.20",
        "300.400.500.600",
        "a[1::2], std::vector, 12:30:45, ::1",
        "460-89-0000, 000-12-3456, 666-12-3456, 900-12-3456",
        "f@g, x @ y, @home, mia@home",
        "binary 0101 1010 0110 1001",
        "pi is 3.14159265358979323846",
        "The product 123456 x 789012 is 97408265472",
        "phone 3 times, call 5 people",
    ],
)
def test_numbers_of_problems_stay(text):
    assert found(text) == []


@given(st.integers(-(10**9), 10**9), st.sampled_from("+-*/"), st.integers(-(10**9), 10**9), st.integers(0, 10**12))
def test_arithmetic_is_never_personal(one, operator, other, result):
    for space in ("", " "):
        assert found(f"{one}{space}{operator}{space}{other}{space}={space}{result}") == []


@given(st.text("0123456789+-. ()x@:AZaz\n", max_size=60))
def test_places_lie_within_the_text_and_are_not_empty(text):
    for detector in DETECTORS.values():
        for span in detector(text):
            assert 0 <= span.start < span.end <= len(text)
            assert span.value


def test_ways_to_write_one_value_have_one_value():
    values = [
        {span.value for detector in DETECTORS.values() for span in detector(text)}
        for text in ("4111 1111 1111 1111", "4111-1111-1111-1111", "4111111111111111")
    ]
    assert values == [{"4111111111111111"}] * 3
