import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1ray.data.privacy.checksums import cpf, dni, iban, luhn, resident_id


def test_luhn_by_hand():
    # 7992739871: doubled from the right (7 is not, the check digit is): the check digit that makes 70 of 67 is 3
    assert luhn("79927398713")
    assert not luhn("79927398710")


@settings(max_examples=40)
@given(st.text("0123456789", min_size=11, max_size=18))
def test_exactly_one_check_digit_in_ten_is_right(digits):
    assert sum(luhn(digits + str(check)) for check in range(10)) == 1


@settings(max_examples=40)
@given(st.integers(0, 15), st.integers(1, 9))
def test_luhn_sees_every_single_wrong_digit(place, change):
    card = "4111111111111111"
    assert not luhn(card[:place] + str((int(card[place]) + change) % 10) + card[place + 1 :])


def test_published_examples_are_right_and_their_neighbours_wrong():
    assert iban("GB82WEST12345698765432")
    assert iban("DE89370400440532013000")
    assert not iban("GB82WEST12345698765433")
    assert not iban("GB82WEST1234569876543")  # too short for the country
    assert not iban("QQ82WEST12345698765432")
    assert dni("12345678Z")
    assert not dni("12345678A")
    assert dni("X1234567L")
    assert cpf("11144477735")
    assert not cpf("11144477736")
    assert resident_id("11010519491231002X")
    assert not resident_id("110105194912310021")


@pytest.mark.parametrize("digit", "0123456789")
def test_a_cpf_of_one_digit_is_none(digit):
    assert not cpf(digit * 11)
