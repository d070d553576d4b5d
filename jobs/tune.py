"""Bayesian search over a job's configuration (--tune.job tiny | ppo | sft | reward_model); the best one is left as
best.json, which the job takes with --config."""

from r1ray.cli import run
from r1ray.config.jobs import TuneJobConfig

CONFIG = TuneJobConfig()

if __name__ == "__main__":
    run("r1ray.tune.search:search", default=CONFIG, description=__doc__)
