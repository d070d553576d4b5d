from hypothesis import given
from hypothesis import strategies as st

from r1ray.config.corpus import PrivacyConfig
from r1ray.data.privacy.detectors import DETECTORS
from r1ray.data.privacy.masking import Masker, mask_row
from r1ray.data.privacy.spans import Span

FIELDS = ("question", "answer")


def test_one_value_has_one_placeholder_in_all_fields_of_a_row():
    row = {
        "question": "Mail Ann@x.org or bob@x.org or ann@X.org; phone 905-674-3793.",
        "answer": "bob@x.org has 905 674 3793? No: phone 905 674 3793",
        "level": 3,
    }
    masked, counts = mask_row(row, FIELDS, PrivacyConfig())
    assert masked["question"] == "Mail <EMAIL_1> or <EMAIL_2> or <EMAIL_1>; phone <PHONE_1>."
    assert masked["answer"] == "<EMAIL_2> has 905 674 3793? No: phone <PHONE_1>"
    assert masked["level"] == 3
    assert counts == {"EMAIL": 4, "PHONE": 2}


def test_numbering_begins_anew_in_each_row():
    for address in ("a@x.org", "b@x.org"):
        assert mask_row({"question": address}, FIELDS, PrivacyConfig())[0] == {"question": "<EMAIL_1>"}


def test_only_the_configured_detectors_run():
    row = {"question": "a@x.org, SSN 460-89-9847"}
    assert (
        mask_row(row, FIELDS, PrivacyConfig(detectors=("national_id",)))[0]["question"]
        == "a@x.org, SSN <NATIONAL_ID_1>"
    )
    assert mask_row(row, FIELDS, PrivacyConfig(detectors=())) == (row, {})


def test_a_further_detector_takes_part():
    def mia(text):
        if "Mia" in text:
            yield Span(text.index("Mia"), text.index("Mia") + 3, "PERSON", "mia")

    assert mask_row({"answer": "Mia"}, FIELDS, PrivacyConfig(), extra=[mia]) == (
        {"answer": "<PERSON_1>"},
        {"PERSON": 1},
    )


@given(st.lists(st.sampled_from(["a@x.org ", "4111111111111111 ", "3 + 4 = 7 ", "text ", "\n"]), max_size=8))
def test_what_is_not_personal_stays_and_masking_twice_is_masking_once(parts):
    masker = Masker(list(DETECTORS.values()))
    masked = masker.mask("".join(parts))
    expected = "".join(
        {"a@x.org ": "<EMAIL_1> ", "4111111111111111 ": "<CREDIT_CARD_1> "}.get(part, part) for part in parts
    )
    assert masked == expected
    assert Masker(list(DETECTORS.values())).mask(masked) == masked
