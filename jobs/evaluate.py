"""Accuracy of a model on held-out problems; with --baseline.path, of two models paired on the same problems."""

from r1ray.cli import run
from r1ray.config.jobs import EvaluateJobConfig

CONFIG = EvaluateJobConfig()

if __name__ == "__main__":
    run("r1ray.commands.evaluate:evaluate_models", default=CONFIG, description=__doc__)
