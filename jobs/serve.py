"""An OpenAI-compatible endpoint for a model, on Ray Serve: http://127.0.0.1:8000/v1. Ctrl-C ends it."""

from r1ray.cli import run
from r1ray.config.jobs import ServeJobConfig

CONFIG = ServeJobConfig()

if __name__ == "__main__":
    run("r1ray.serve.app:serve_model", default=CONFIG, description=__doc__)
