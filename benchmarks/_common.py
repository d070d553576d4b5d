"""What every benchmark shares: threads, interleaved repeats, the machine in words, and the last line."""

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch


def interleave(
    contenders: Mapping[str, Callable[[], Any]], repeats: int, *, warmup: bool = True
) -> dict[str, list[float]]:
    """Seconds of each call, `repeats` times, taking turns: whatever else the machine does hits all contenders alike."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(-int(warmup), repeats):
        for name, contender in contenders.items():
            gc.collect()
            start = time.perf_counter()
            contender()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number >= 0:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def median_ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Median over rounds of slow / fast: the two of a round ran under the same conditions."""
    return statistics.median(s / f for s, f in zip(slow, fast, strict=True))


def machine() -> str:
    """Processor, threads in use, memory, accelerator and library versions, in one line."""
    parts = [_cpu_name(), f"{torch.get_num_threads()} threads", f"{_memory_gib():.0f} GiB"]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return ", ".join([*parts, f"torch {torch.__version__}", f"Python {platform.python_version()}"])


def report(name: str, value: float, unit: str, target: float, repeats: int, **more: Any) -> None:
    """Print the benchmark's last line: one JSON object."""
    line = {
        "name": name,
        "value": round(value, 4) if abs(value) >= 1e-3 else float(f"{value:.2g}"),
        "unit": unit,
        "target": target,
        "repeats": repeats,
        "machine": machine(),
        **more,
    }
    print(json.dumps(line))


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _memory_gib() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError):
        return float("nan")
