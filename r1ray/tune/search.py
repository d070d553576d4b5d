"""The search on Ray Tune: trials, schedulers, workers that are reused, and a journal that outlives the driver.

    journal ◄── RecordedSearch ◄──► Ray Tune ──► trial ──► a tiny training, or a whole Ray Train run of a job

The only module of this room that runs anything on Ray.
"""

import logging
import math
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from r1ray.cluster.connect import connect
from r1ray.cluster.plan import Plan, make_plan
from r1ray.cluster.preflight import fits, nodes, wait_until_fits
from r1ray.cluster.threads import set_threads
from r1ray.config.jobs import PPOJobConfig, TinyJobConfig, TuneJobConfig
from r1ray.config.serialise import to_dict
from r1ray.config.trial import trial_config, trial_space
from r1ray.config.tune import TuneConfig
from r1ray.errors import WorkerError
from r1ray.metrics.sinks import JsonlSink, Sinks
from r1ray.rl.prepare import absolute_paths
from r1ray.runs import Run
from r1ray.runs.files import write_json
from r1ray.tune.bayesian import BayesianSearch
from r1ray.tune.explain import importance, positions, slices
from r1ray.tune.journal import Journal, first_points, open_journal
from r1ray.tune.objective import worth
from r1ray.tune.space import SearchSpace
from r1ray.tune.trials import best_file, make_start, measurable, run_trial, shares_start
from r1ray.tune.view import SearchView

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths mean what they mean to a single run
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a PPO step without an evaluation has no objective
}
os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})

import ray  # noqa: E402  # after the environment that it reads
from ray import tune  # noqa: E402
from ray.tune.integration.ray_train import TuneReportCallback  # noqa: E402
from ray.tune.schedulers import ASHAScheduler, HyperBandScheduler, TrialScheduler  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402

BASE = "base.json"
BEST = "best.json"
RESULT = "search.json"
"""What the report is drawn from."""
OBJECTIVE = "objective"
WAITING = 0.01
"""CPUs of a trial that only waits for its job; a placement group of nothing is refused."""
ENDLESS = 1_000_000
"""Reports after which a scheduler would end a job's trial."""
HOPELESS = 5
"""So many failed trials without a single result end the search: the mistake is in what they share."""


def search(config: TuneJobConfig, run: Run) -> dict[str, Any]:
    """The verb of `jobs/tune.py`: search, and leave the best configuration as a file; returns the headline figures."""
    config = keep_base(config, run)
    settings = config.tune
    original = trial_config(settings)
    space = SearchSpace.parse(trial_space(settings))
    space.check(original)
    base = measurable(original, settings)
    if isinstance(base, PPOJobConfig):
        base = absolute_paths(base)
    journal = open_journal(config, run.folder, space, original)
    connection = connect()
    plan, console = make_plan(config), Console()
    console.print(plan.table())
    wait_until_fits(plan, getattr(getattr(base, "resources", None), "wait_seconds", 60.0))
    if shares_start(base, space):
        base = make_start(base, run)
    view = SearchView(f"tune {settings.job} · {run.name}", settings.trials, list(space.ranges), settings.mode, console)
    recorded = RecordedSearch(journal, settings)
    try:
        with view:
            for row in journal.results:
                view.finished(row, quiet=True)
            if not recorded.over():
                _fit(base, config, run, recorded, view, trials_at_once(settings, plan, connection.local))
            _say_why(recorded, view)
    finally:
        figures = _write(journal, config, run, original)
    if figures is None:
        raise WorkerError(
            f"None of {len(journal.results)} trials had a result; what each said is under {run.location}. Run one by "
            f"itself: python jobs/{settings.job}.py"
        )
    return figures


def keep_base(config: TuneJobConfig, run: Run) -> TuneJobConfig:
    """The configuration with the run's own copy of what trials start from: a resumed search finds it as it was."""
    path = run.folder / BASE
    if not path.exists():
        write_json(path, to_dict(trial_config(config.tune)))
    return replace(config, tune=replace(config.tune, base=str(path)))


def trials_at_once(settings: TuneConfig, plan: Plan, local: bool) -> int:
    """How many trials run side by side: on a machine of its own one, on a cluster two where two plans fit."""
    if settings.parallel:
        return settings.parallel
    return 2 if not local and fits(plan.bundles() * 2, nodes()) else 1


# ── Tune's side ───────────────────────────────────────────────────────────────────────────────────────────────────────


class RecordedSearch(BayesianSearch):
    """`BayesianSearch` over a journal, within the budget of a `TuneConfig`."""

    def __init__(self, journal: Journal, settings: TuneConfig) -> None:
        super().__init__(journal.proposals.space, OBJECTIVE, settings.mode)
        self._proposals = journal.proposals
        self.journal, self._settings = journal, settings
        self._numbers: dict[str, int] = {}
        self._began: dict[str, float] = {}
        self._before = max((row.get("minute", 0.0) for row in journal.results), default=0.0)
        self._since = time.monotonic()
        self.finished: list[dict[str, Any]] = []
        """Rows that nobody has shown yet."""

    def over(self) -> str:
        """Why no further trial starts; empty while one may."""
        settings, results = self._settings, self.journal.results
        if len(results) >= settings.trials:
            return f"All {settings.trials} trials are done."
        if settings.minutes and self._minute() >= settings.minutes:
            return f"{settings.minutes:g} minutes have passed."
        good = [i for i, row in enumerate(results) if row["result"] is not None]
        if not good and len(results) >= HOPELESS:
            return f"The first {len(results)} trials all failed."
        if settings.patience and good:
            best = max(good, key=lambda i: (results[i]["result"], -i))
            if len(results) - 1 - best >= settings.patience:
                return f"No better trial in the last {settings.patience}."
        return ""

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """The next point, on disk before it is run; the sign for the end where the budget is spent."""
        if self.over() or len(self.journal.results) + len(self._numbers) >= self._settings.trials:
            return Searcher.FINISHED  # type: ignore[return-value]  # Ray's own mark
        number, values = self.journal.ask()
        self._numbers[trial_id], self._began[trial_id] = number, time.monotonic()
        return values

    def number(self, trial_id: str) -> int:
        """The number under which a trial that runs stands in the journal."""
        return self._numbers[trial_id]

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The end of a trial, into the journal."""
        if trial_id not in self._numbers:
            return
        number = self._numbers.pop(trial_id)
        kept = ("objective", "accuracy", "low", "high", "kl", "problems")
        figures = {name: _plain(result[name]) for name in kept if result and name in result}
        figures["reports"] = (result or {}).get("training_iteration")
        figures["seconds"] = round(time.monotonic() - self._began.pop(trial_id), 2)
        figures["minute"] = round(self._minute(), 3)
        self.finished.append(self.journal.tell(number, None if error else self._signed(result), figures))

    def _minute(self) -> float:
        return self._before + (time.monotonic() - self._since) / 60


class _Show(tune.Callback):
    """Tells the view; Tune pickles its callbacks, and a console cannot be."""

    def __init__(self, recorded: RecordedSearch, view: SearchView) -> None:
        self._recorded, self._view = recorded, view

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._view.started(self._recorded.number(trial.trial_id), trial.evaluated_params)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        lines = str(trial.get_error() or "").strip().splitlines()
        self._view.note(f"A trial failed, and counts as the worst seen: {lines[-1] if lines else 'its worker died'}")

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self.show()

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        self.show()

    def show(self) -> None:
        """Hand on what has finished."""
        while self._recorded.finished:
            self._view.finished(self._recorded.finished.pop(0))


def _fit(base: Any, config: TuneJobConfig, run: Run, recorded: RecordedSearch, view: SearchView, at_once: int) -> None:
    """Run trials until the search is over; `KeyboardInterrupt` after Ctrl-C."""
    for name in ("ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    settings = config.tune
    show = _Show(recorded, view)
    trials = settings.trials - len(recorded.journal.results)
    tune.Tuner(
        _trainable(base, settings, f"{run.location}/trials"),
        tune_config=tune.TuneConfig(
            metric=OBJECTIVE,
            mode=settings.mode,
            num_samples=trials,
            max_concurrent_trials=at_once,  # Tune wraps the search in its ConcurrencyLimiter
            search_alg=recorded,
            scheduler=_scheduler(base, settings),
            # A job that a scheduler stops early goes on in its thread; only its worker's end ends it.
            reuse_actors=isinstance(base, TinyJobConfig) or settings.scheduler == "none",
        ),
        run_config=tune.RunConfig(
            storage_path=str(run.folder), name=f"ray_tune-{int(time.time())}", verbose=0, callbacks=[show]
        ),
    ).fit()
    show.show()
    if not recorded.over():
        raise KeyboardInterrupt


def _trainable(base: Any, settings: TuneConfig, storage: str) -> Any:
    """What Tune runs. A trial books what a single run does: the tiny training its CPU, a job's own workers theirs."""
    if isinstance(base, TinyJobConfig):
        (group,) = make_plan(base).workers
        bound = tune.with_parameters(TinyTrial, base=base, settings=settings)
        return tune.with_resources(bound, {"cpu": group.cpus})
    bound = tune.with_parameters(_job_trial, base=base, settings=settings, storage=storage)
    return tune.with_resources(bound, {"cpu": WAITING})


def _scheduler(base: Any, settings: TuneConfig) -> TrialScheduler | None:
    if settings.scheduler == "none":
        return None
    longest = ENDLESS  # a job ends by itself
    if isinstance(base, TinyJobConfig):
        longest = base.tiny.evaluations
    if settings.scheduler == "hyperband":
        return HyperBandScheduler(max_t=longest, reduction_factor=2)
    return ASHAScheduler(max_t=longest, grace_period=min(settings.grace, longest), reduction_factor=2)


class TinyTrial(tune.Trainable):
    """Trainings of tiny transformers, one after another in one worker; a scheduler may pause and continue them."""

    def setup(  # type: ignore[override]  # what with_parameters binds
        self, config: dict[str, Any], base: TinyJobConfig, settings: TuneConfig
    ) -> None:
        set_threads(1)  # what it books; for a network this small two threads mostly wait for each other
        self._base, self._settings = base, settings
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        from r1ray.tune.tiny import TinyTraining  # here, where it runs: transformers takes seconds to import

        self._training = TinyTraining(SearchSpace.apply(self._base, new_config))
        return True

    def step(self) -> dict[str, Any]:
        figures = self._training.advance()
        return {**worth(self._settings, figures).figures(), "done": self._training.done}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        torch.save(self._training.state_dict(), Path(checkpoint_dir) / "training.pt")

    def load_checkpoint(self, checkpoint: Any) -> None:
        self._training.load_state_dict(torch.load(Path(checkpoint) / "training.pt", weights_only=False))


class ObjectiveCallback(TuneReportCallback):
    """Hands the steps of a trial's Ray Train run to Tune, with the objective wherever a step has been evaluated."""

    def __init__(self, settings: TuneConfig, problems: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._settings, self._problems = settings, problems

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        figures = dict(metrics[0])
        if self._settings.objective in figures or "evaluation/accuracy" in figures:
            figures |= worth(self._settings, figures, self._problems).figures()
        super().after_report(run_context, [figures], checkpoint)


def _job_trial(values: dict[str, Any], base: Any, settings: TuneConfig, storage: str) -> None:
    """A trial of a whole job, whose reports come through the callback.

    The job runs in a task beside the trial's placement group: inside, the actors that it starts would be held to the
    trial's own booking, which is next to nothing.
    """
    problems = getattr(getattr(base, "evaluation", None), "during", 0)
    name = f"trial-{tune.get_context().get_trial_id()}"
    job = ray.remote(_drive_job).options(num_cpus=0, max_retries=0, scheduling_strategy="DEFAULT")
    final = job.remote(base, values, settings, storage, name, ObjectiveCallback(settings, problems))
    tune.report(ray.get(final))


def _drive_job(
    base: Any, values: dict[str, Any], settings: TuneConfig, storage: str, name: str, callback: TuneReportCallback
) -> dict[str, float]:
    from r1ray.train.trainer import report_through

    with report_through(callback):
        return run_trial(base, values, settings, storage, name).figures()


# ── The end ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _say_why(recorded: RecordedSearch, view: SearchView) -> None:
    view.note(recorded.over())
    failures = recorded.proposals.failures
    if failures:
        view.note(f"{failures} of {len(recorded.journal.results)} trials failed; each counted as the worst seen.")


def _write(journal: Journal, config: TuneJobConfig, run: Run, base: Any) -> dict[str, Any] | None:
    """The best configuration so far, the curve, and what the report is drawn from; the headline figures.

    None where no trial has had a result.
    """
    proposals, settings = journal.proposals, config.tune
    good = [row for row in journal.results if row["result"] is not None]
    if not good:
        return None
    sign = 1.0 if settings.mode == "max" else -1.0
    best = max(good, key=lambda row: float(row["result"]))
    path = run.folder / BEST
    write_json(path, best_file(base, best["values"]))
    first = first_points(settings, proposals.space, base)
    default = next((row for row in journal.results if first and row["number"] == 0), None)
    rows = [{**row, "positions": positions(proposals, row["values"])} for row in journal.results]
    explained = len(good) >= 2
    write_json(
        run.folder / RESULT,
        {
            "job": settings.job,
            "objective": settings.objective,
            "mode": settings.mode,
            "space": dict(zip(proposals.space.ranges, proposals.space.describe(), strict=True)),
            "rows": rows,
            "default": default["number"] if default else None,
            "best": best["number"],
            "importance": importance(proposals) if explained else {},
            "slices": slices(proposals, sign) if explained else {},
        },
    )
    run.metrics_path.unlink(missing_ok=True)
    with Sinks([JsonlSink(run.metrics_path)]) as sink:
        top = -math.inf
        for step, row in enumerate(rows, start=1):
            top = max(top, -math.inf if row["result"] is None else row["result"])
            value = math.nan if row["result"] is None else sign * row["result"]
            sink.write(step, {"search/objective": value, "search/best": sign * top})
    figures: dict[str, Any] = {
        "best_value": sign * best["result"],
        "default_value": sign * default["result"] if default and default["result"] is not None else None,
        "best_config": str(path),
        "trials": len(journal.results),
        "failed": proposals.failures,
    }
    if best.get("low") is not None:
        figures["best_interval"] = [round(best["low"], 4), round(best["high"], 4)]
    return figures


def _plain(value: float | None) -> float | None:
    """A figure as JSON can hold it."""
    return float(value) if value is not None and math.isfinite(value) else None
