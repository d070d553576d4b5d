"""PPO with stepwise rewards: a cold start on worked solutions of easier problems, then reinforcement on harder ones,
for which there is nothing but the final answers."""

from r1ray.cli import run
from r1ray.config.jobs import PPOJobConfig

CONFIG = PPOJobConfig()

if __name__ == "__main__":
    run("r1ray.rl.actors:train_ppo", default=CONFIG, description=__doc__)
