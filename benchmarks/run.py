"""What recording costs, beside the floor measured in the same run. `make bench` prints it and keeps a dated page.

The floor is the least that writing a row can cost: `orjson.dumps` of the same row and one unbuffered `os.write`.
Figures differ between machines and minutes; ratios within one run are what to read.
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson

from kiseki import TrainingMetricsRecorder

RESULTS = Path(__file__).parent / "results"
METRICS = {
    "loss": 2.3112345,
    "learning_rate": 1.9e-4,
    "pet_loss": 0.0031234,
    "so8t_loss": 1.2e-7,
    "accuracy": 0.512345,
    "perplexity": 10.0861234,
    "grad_norm": 1.2345678,
}


def measure(call: Callable[[int], object], rows: int) -> dict[str, float]:
    """Time each call; the clock's own cost is in it, for both sides alike."""
    spent = [0] * rows
    cpu = time.process_time()
    for step in range(rows):
        began = time.perf_counter_ns()
        call(step)
        spent[step] = time.perf_counter_ns() - began
    cpu = time.process_time() - cpu
    ordered = sorted(spent)
    tenth = max(1, rows // 10)
    return {
        "p50_us": ordered[rows // 2] / 1e3,
        "p99_us": ordered[rows * 99 // 100] / 1e3,
        "mean_us": statistics.fmean(spent) / 1e3,
        "cpu_us": cpu / rows * 1e6,
        "last_over_first_tenth": statistics.median(spent[-tenth:]) / statistics.median(spent[:tenth]),
    }


def floor(folder: Path, rows: int) -> dict[str, float]:
    """`orjson.dumps` of a row and one `os.write`."""
    descriptor = os.open(folder / "floor.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def row(step: int) -> None:
        line = {"step": step, "epoch": step / 1000, "timestamp": time.time(), **METRICS}
        os.write(descriptor, orjson.dumps(line) + b"\n")

    try:
        return measure(row, rows)
    finally:
        os.close(descriptor)


def recorder(folder: Path, rows: int, *, companion: bool) -> dict[str, float]:
    """The recorder as it is shipped."""
    recording = TrainingMetricsRecorder(folder, save_interval=10, companion=companion, save_plots=companion)
    before = recording.folder.journal.stat().st_size
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = measure(lambda step: recording.record_step(step=step, epoch=step / 1000, **METRICS), rows)
    figures["memory_growth_kib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    figures["journal_bytes_per_row"] = (recording.folder.journal.stat().st_size - before) / rows
    began = time.perf_counter()
    recording.close()
    figures["close_s"] = time.perf_counter() - began
    return figures


def import_cpu_ms(module: str) -> float:
    """CPU time of importing a module in a fresh interpreter, the interpreter's own taken off; median of five."""

    def cpu(code: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3

    return statistics.median(cpu(f"import {module}") for _ in range(5)) - statistics.median(cpu("") for _ in range(5))


def page(measured: dict[str, dict[str, float]], rows: int, import_ms: float) -> str:
    """The figures as Markdown."""
    floor_p50, floor_cpu = measured["floor"]["p50_us"], measured["floor"]["cpu_us"]
    lines = [
        f"# Cost of one row, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"{rows:,} rows of ten fields in a tight loop; Python {platform.python_version()}, "
        f"{platform.system()} {platform.release()}, {os.cpu_count()} cores.",
        "",
        "| | p50 µs | × floor | p99 µs | mean µs | CPU µs/row | × floor | last/first tenth | bytes/row "
        "| growth KiB | close s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, figures in measured.items():
        lines.append(
            f"| {name} | {figures['p50_us']:.2f} | {figures['p50_us'] / floor_p50:.2f} | {figures['p99_us']:.1f} "
            f"| {figures['mean_us']:.2f} | {figures['cpu_us']:.2f} | {figures['cpu_us'] / floor_cpu:.2f} "
            f"| {figures['last_over_first_tenth']:.2f} | {figures.get('journal_bytes_per_row', float('nan')):.0f} "
            f"| {figures.get('memory_growth_kib', float('nan')):.0f} | {figures.get('close_s', float('nan')):.2f} |"
        )
    lines += ["", f"`import kiseki`: {import_ms:.0f} ms CPU beyond the bare interpreter.", ""]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, keep."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=50_000, help="rows of each series (default: 50000)")
    rows = options.parse_args().rows
    measured: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        floor(folder, rows // 10)  # warm-up
        for name, series in (
            ("floor", lambda: floor(folder, rows)),
            ("kiseki, companion", lambda: recorder(folder / "companion", rows, companion=True)),
            ("kiseki, no companion", lambda: recorder(folder / "alone", rows, companion=False)),
        ):
            print(f"{name} …", file=sys.stderr, flush=True)
            measured[name] = series()
    text = page(measured, rows, import_cpu_ms("kiseki"))
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-one-row.md").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
