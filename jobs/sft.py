"""Supervised fine-tuning: the policy learns from worked solutions, conversations or prompt/response rows."""

from r1ray.cli import run
from r1ray.config.jobs import SFTJobConfig

CONFIG = SFTJobConfig()

if __name__ == "__main__":
    run("r1ray.train.finetune:train_sft", default=CONFIG, description=__doc__)
