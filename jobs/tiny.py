"""A tiny transformer trained from nothing on generated sums, in seconds: what jobs/tune.py searches by default."""

from r1ray.cli import run
from r1ray.config.jobs import TinyJobConfig

CONFIG = TinyJobConfig()

if __name__ == "__main__":
    run("r1ray.tune.tiny:train_tiny", default=CONFIG, description=__doc__)
