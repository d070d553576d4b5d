"""Recall and precision are counted as they are described."""

from benchmarks.privacy_recall import score


def labelled(text, *spans):
    return {
        "full_text": text,
        "spans": [{"entity_type": kind, "start_position": start, "end_position": end} for kind, start, end in spans],
    }


def test_one_of_two_addresses_found_and_one_of_two_finds_right():
    rows = [
        labelled("a@x.org", ("EMAIL_ADDRESS", 0, 7)),
        labelled("a at x.org", ("EMAIL_ADDRESS", 0, 10)),
        labelled("b@x.org"),
    ]
    assert score(rows)["EMAIL"] == {"labelled": 2, "recall": 0.5, "precision": 0.5}
