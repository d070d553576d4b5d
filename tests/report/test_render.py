"""The report is one valid page that shows what the run did, fetches nothing, and runs nothing that a model wrote."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from r1ray.config.jobs import PPOJobConfig
from r1ray.config.ppo import PPOConfig
from r1ray.config.run import RunConfig
from r1ray.errors import DataError
from r1ray.report import SampledStep, SampleRow, append_samples, render_report
from r1ray.report.headline import accuracies, cards, show_value
from r1ray.runs import Run

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}"
VOID = {"meta", "br", "img", "link"}


class Page(HTMLParser):
    """Elements, their attributes and the text of a page; fails on a tag that is closed out of order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A finished run with a hostile model."""
    run = Run.create(
        "ppo",
        PPOJobConfig(run=RunConfig(storage=str(tmp_path), name="ppo-1", seed=3), ppo=PPOConfig(steps=3, clip_eps=0.1)),
    )
    rows = [
        {"step": step, "reward/outcome": 0.2 * step, "reward/total": 0.3, "ppo/entropy": None if step == 2 else 0.7,
         "time/generate": 1.0, "time/update": 2.0, "time/step": 3.0, "custom/thing": 5.0}
        for step in (1, 2, 3)
    ]  # fmt: skip
    run.metrics_path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sample = SampleRow(
        step=3,
        policy_version=2,
        problem_id="p",
        family=ATTACK,
        sample=0,
        question=ATTACK,
        reference=ATTACK,
        text=ATTACK,
        tokens=[ATTACK, "\n"],
        advantages=[1.0, -0.5],
        steps=[SampledStep(start=0, end=4, text=ATTACK, score=-0.2, last_token=0)],
        components={ATTACK: 1.0},
        correct=False,
        finish_reason="stop",
    )
    append_samples(run.samples_path, [sample])
    run.add_parent("policy", "smollm2-135m")
    accuracies = {"accuracy_base": 0.01, "accuracy_cold_start": 0.35, "accuracy_after": 0.4675}
    run.finish({"minutes": 11.8, **accuracies, "p_value": 2e-7, "problems": 400})
    return run


def page(run: Run) -> Page:
    return Page(render_report(run.folder).read_text(encoding="utf-8"))


def test_the_page_shows_what_matters(run: Run) -> None:
    text = page(run).text
    for part in (
        "ppo-1", "done", "seed 3", "+11.8 points", "over the cold start", "46.8%", "2.0e-07", "400",
        "Reward by component", "Entropy", "Time per phase", "custom/thing",
        "ppo.clip_eps", "0.1", "0.2", "smollm2-135m", "wrong", "-0.20",
    ):  # fmt: skip
        assert part in text


def test_what_the_model_wrote_is_shown_as_text(run: Run) -> None:
    shown = page(run)
    assert shown.text.count(ATTACK) >= 4
    assert {tag for tag, _ in shown.tags}.isdisjoint({"script", "img", "iframe", "object"})
    assert not any(name.startswith("on") for _, attributes in shown.tags for name in attributes)


def test_the_page_fetches_nothing(run: Run) -> None:
    shown = page(run)
    assert not any(name in ("src", "href", "srcset", "data") for _, attributes in shown.tags for name in attributes)
    html = run.report_path.read_text(encoding="utf-8")
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert "default-src 'none'" in html


def test_tokens_are_coloured_by_their_advantage(run: Run) -> None:
    styles = [attributes["style"] for _, attributes in page(run).tags if "style" in attributes]
    # The scale is 1.0, the 95th percentile of (0.5, 1.0): full colour, and half of it.
    assert styles == ["background:rgb(var(--pos) / 0.85)", "background:rgb(var(--neg) / 0.42)"]


def test_only_what_was_changed_is_in_the_table_of_changes(run: Run) -> None:
    html = render_report(run.folder).read_text(encoding="utf-8")
    changes = html[html.index("changed setting") : html.index("All ")]
    assert "ppo.clip_eps" in changes and "ppo.steps" in changes and "run.seed" in changes
    assert "ppo.gamma" not in changes and "run.storage" not in changes


def test_a_run_that_has_only_begun_has_a_page_too(tmp_path: Path) -> None:
    run = Run.create("ppo", PPOJobConfig(run=RunConfig(storage=str(tmp_path))))
    text = page(run).text
    assert "running" in text and "Curves" not in text and "Sampled rollouts" not in text


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    run = Run.create("ppo", PPOJobConfig(run=RunConfig(storage=str(tmp_path))))
    with pytest.raises(ValueError, match="disk"), run:
        raise ValueError("no space left on <disk>")
    assert "ValueError: no space left on <disk>" in page(run).text


def test_a_job_without_a_template_or_a_configuration_class_gets_the_common_page(tmp_path: Path) -> None:
    run = Run.create("newjob", PPOJobConfig(run=RunConfig(storage=str(tmp_path))))
    run.finish({"rows_in": 10, "content_hash": "abc" * 10})
    text = page(run).text
    assert "newjob" in text and "rows in" in text and "abc" * 10 in text


def test_a_folder_that_is_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no manifest\.json"):
        render_report(tmp_path)


def test_accuracies_have_wilsons_interval() -> None:
    ((label, value, low, high),) = accuracies({"accuracy_after": 0.8, "problems": 10})
    assert (label, value) == ("after training", 0.8)
    assert (low, high) == pytest.approx((0.490162, 0.943318), abs=2e-6)  # worked in tests/test_statistics.py


def test_without_a_number_of_problems_there_are_no_intervals_but_cards() -> None:
    assert accuracies({"accuracy": 0.5}) == []
    assert [card.value for card in cards({"accuracy": 0.5})] == ["50.0%"]


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("p_value", 0.0123, "0.012"),
        ("p_value", 3e-9, "3.0e-09"),
        ("rows", 12345, "12,345"),
        ("ok", True, "yes"),
        ("x", None, "–"),
        ("x", float("nan"), "–"),
    ],
)
def test_figures_read_naturally(key: str, value: object, text: str) -> None:
    assert show_value(key, value) == text
