"""Quantize: a smaller model by one or more recipes, and a gate that refuses to call it good when it is not."""

from r1ray.cli import run
from r1ray.config.jobs import QuantizeJobConfig

CONFIG = QuantizeJobConfig()

if __name__ == "__main__":
    run("r1ray.quantize.jobs:quantize", default=CONFIG, description=__doc__)
