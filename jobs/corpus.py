"""A corpus: raw text, web pages and problem sets cleaned, deduplicated, masked and written as versioned shards."""

from r1ray.cli import run
from r1ray.config.jobs import CorpusJobConfig

CONFIG = CorpusJobConfig()

if __name__ == "__main__":
    run("r1ray.data.pipeline:make_corpus", default=CONFIG, description=__doc__)
