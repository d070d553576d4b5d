"""Utilisation of raw rows: rows in shards / rows read, with repair off and on, under each profile.

    python benchmarks/corpus_utilisation.py --input 'web/*.warc.gz' 'web/*.jsonl'

Prints a table. Most repairs mend a text that would have been kept as it is, damaged; they do not show here. The last
line is one JSON object; its value is the utilisation with repair on, under `reasoning`.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._common import report
from r1ray.config.classify import DomainConfig, NoiseConfig
from r1ray.config.corpus import CleanConfig, CorpusConfig
from r1ray.config.jobs import CorpusJobConfig
from r1ray.data.corpus.job import build_corpus, in_process

TARGET = 0.8


def main() -> None:
    args = _arguments()
    found: dict[str, Any] = {}
    print("| profile, repair | read | quarantined | dropped | in shards | utilisation |\n|---|---|---|---|---|---|")
    for profile in ("reasoning", "web"):
        for repair in (False, True):
            name = f"{profile}, {'on' if repair else 'off'}"
            manifest = _manifest(args, CleanConfig(profile=profile, repair=repair))
            funnel, rows = manifest["funnel"], manifest["rows"]
            quarantined = sum(funnel["quarantined"].values())
            dropped = sum(sum(reasons.values()) for reasons in funnel["dropped"].values())
            found[name] = round(rows / funnel["rows_in"], 4)
            print(f"| {name} | {funnel['rows_in']} | {quarantined} | {dropped} | {rows} | {found[name]:.1%} |")
    print(f"quarantined {funnel['quarantined']}\ndropped under {profile} {funnel['dropped']}")
    report("corpus_utilisation", found["reasoning, on"], "rows in shards / rows read", TARGET, 1, **found)


def _manifest(args: argparse.Namespace, clean: CleanConfig) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="corpus-utilisation-") as folder:
        config = CorpusJobConfig(
            corpus=CorpusConfig(input=tuple(args.input), output=f"{folder}/mix", mapping=tuple(args.mapping)),
            clean=clean,
            noise=NoiseConfig(enabled=args.classify),
            domain=DomainConfig(enabled=args.classify),
        )
        manifest: dict[str, Any] = build_corpus(config, in_process, lambda *_: None)["manifest"]
        return manifest


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--input", nargs="+", required=True)
    parser.add_argument("--mapping", nargs="*", default=[])
    parser.add_argument("--classify", action="store_true", help="with the classifiers of noise and domain")
    return parser.parse_args()


if __name__ == "__main__":
    main()
