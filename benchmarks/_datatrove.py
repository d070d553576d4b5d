"""The same work by datatrove, in its own interpreter: quality rules, masking, MinHash with 16 x 8, word 5-grams.

    /path/to/its/python benchmarks/_datatrove.py INPUT OUTPUT TASKS WORKERS

Knows nothing of r1ray. The last line is one JSON object.
"""

import json
import sys
import time
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.formatters import FTFYFormatter, PIIFormatter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.text import TextNormConfig


def main(source: str, output: str, tasks: int, workers: int) -> None:
    config = MinhashConfig(
        hash_config=HashConfig(precision=64),
        num_buckets=16,
        hashes_per_bucket=8,
        n_grams=5,
        norm_config=TextNormConfig(norm_numbers=False),
    )
    clean = [
        JsonlReader(source),
        FTFYFormatter(),
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        PIIFormatter(),
        JsonlWriter(f"{output}/clean", compression=None),
        MinhashDedupSignature(f"{output}/signatures", config=config),
    ]
    buckets = [MinhashDedupBuckets(f"{output}/signatures", f"{output}/buckets", config=config)]
    cluster = [MinhashDedupCluster(f"{output}/buckets", f"{output}/remove", config=config)]
    kept = [
        JsonlReader(f"{output}/clean"),
        MinhashDedupFilter(f"{output}/remove"),
        JsonlWriter(f"{output}/kept", compression=None),
    ]
    start = time.perf_counter()
    for number, (pipeline, size) in enumerate(
        ((clean, tasks), (buckets, config.num_buckets), (cluster, 1), (kept, tasks))
    ):
        executor = LocalPipelineExecutor(pipeline, tasks=size, workers=workers, logging_dir=f"{output}/logs/{number}")
        executor.run()
    rows = sum(path.read_bytes().count(b"\n") for path in Path(output, "kept").glob("*.jsonl"))
    print(json.dumps({"rows_out": rows, "inside": time.perf_counter() - start}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
