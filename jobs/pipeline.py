"""The whole line as one resumable job: corpus, supervised fine-tuning, process reward model, PPO with stepwise rewards.
Settings of a stage are `--<stage>.<group>.<field>`, `--ppo.ppo.steps 20` say."""

from r1ray.cli import run
from r1ray.config.jobs import PipelineJobConfig

CONFIG = PipelineJobConfig()

if __name__ == "__main__":
    run("r1ray.pipeline:run_pipeline", default=CONFIG, description=__doc__)
