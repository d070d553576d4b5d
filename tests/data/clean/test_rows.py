from r1ray.config.corpus import CleanConfig
from r1ray.data.clean.rows import clean_row, text_of

FIELDS = ("question", "answer")


def test_a_row_is_repaired_and_kept():
    row, verdict = clean_row({"question": "3 Ã— 4\r\n= ?", "answer": "12", "level": 1}, FIELDS, CleanConfig())
    assert row == {"question": "3 × 4\n= ?", "answer": "12", "level": 1}
    assert verdict is None


def test_without_repairs_the_row_stays_as_it_is():
    row, _ = clean_row({"question": "3\r\n= ?", "answer": "N/A"}, FIELDS, CleanConfig(repair=False))
    assert row == {"question": "3\r\n= ?", "answer": "N/A"}


def test_a_row_of_missing_values_is_dropped_as_empty():
    row, verdict = clean_row({"question": "null", "answer": None}, FIELDS, CleanConfig())
    assert row["question"] is None
    assert verdict is not None
    assert (verdict.stage, verdict.reason) == ("clean", "empty")


def test_a_profile_and_a_language_are_asked_for():
    long = {"question": "Wie viele Äpfel hat sie jetzt, und wie viele sind noch auf dem Markt?"}
    assert clean_row(long, FIELDS, CleanConfig())[1] is None
    verdict = clean_row(long, FIELDS, CleanConfig(languages=("en",)))[1]
    assert verdict is not None
    assert verdict.reason == "language"
    verdict = clean_row(long, FIELDS, CleanConfig(profile="web"))[1]
    assert verdict is not None
    assert verdict.reason == "number of words"


def test_the_text_of_a_row_is_its_text_fields_in_order():
    assert text_of({"answer": "12", "question": "3 × 4", "level": "x"}, FIELDS) == "3 × 4\n12"
    assert text_of({"question": None, "answer": 12}, FIELDS) == ""
