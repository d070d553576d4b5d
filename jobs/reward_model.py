"""A reward model: of the steps of a solution (`--reward-model.kind process`, the default), from Monte-Carlo labels or
files of judged steps; or of preferences between answers (`--reward-model.kind preference`)."""

from r1ray.cli import run
from r1ray.config.jobs import RewardModelJobConfig

CONFIG = RewardModelJobConfig()

if __name__ == "__main__":
    run("r1ray.train.reward_job:train_reward_model", default=CONFIG, description=__doc__)
