"""A million rows, a burst, many runs, and what the companion takes from a busy loop. Figures, never timed tests."""

import argparse
import platform
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from run import METRICS

from kiseki import TrainingMetricsRecorder
from kiseki.companion.views import refresh_views
from kiseki.curves import draw_training_curves
from kiseki.history import read_history
from kiseki.record.opening import recover
from kiseki.run_folder import RunFolder

RESULTS = Path(__file__).parent / "results"
Figures = list[tuple[str, str]]


def record(recorder: TrainingMetricsRecorder, steps: range) -> None:
    for step in steps:
        recorder.record_step(step=step, epoch=step / 1000, **METRICS)


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def shown(seconds: tuple[float, float]) -> str:
    return f"{seconds[0]:.2f} s ({seconds[1]:.2f} s CPU)"


def burst(folder: Path) -> Figures:
    with TrainingMetricsRecorder(folder, save_plots=False) as recorder:
        wall, _ = timed(lambda: record(recorder, range(2000)))
    return [("2,000 rows in a burst, all safe from a kill", f"{wall * 1e3:.0f} ms")]


def many_runs(folder: Path) -> Figures:
    recorders = [TrainingMetricsRecorder(folder / str(n), save_plots=False, companion=False) for n in range(32)]
    threads = [threading.Thread(target=record, args=(recorder, range(1000))) for recorder in recorders]

    def run() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    wall, _ = timed(run)
    for recorder in recorders:
        recorder.close()
    return [("32 runs × 1,000 rows at once, 32 threads", f"{wall:.2f} s")]


def large_run(root: Path, rows: int) -> Figures:
    folder = RunFolder(root)
    recorder = TrainingMetricsRecorder(root, save_interval=10**9)
    record(recorder, range(1000))
    memory = _resident_kib()
    early = timed(lambda: record(recorder, range(1000, 1000 + rows // 10)))
    record(recorder, range(1000 + rows // 10, rows - rows // 10))
    late = timed(lambda: record(recorder, range(rows - rows // 10, rows)))
    growth = _resident_kib() - memory
    flush = timed(recorder.flush)
    recorder._views.end()
    recorder._journal.close()  # as a kill would: no close line
    tenth = rows // 10
    figures = [
        (f"{rows:,} rows: memory growth of the training process", f"{growth} KiB"),
        ("CPU per row, first tenth and last", f"{early[1] / tenth * 1e6:.2f} and {late[1] / tenth * 1e6:.2f} µs"),
        ("flush()", f"{flush[0] * 1e3:.0f} ms"),
        ("opening for the next attempt (all checks)", shown(timed(lambda: recover(folder)))),
        ("reading the history", shown(timed(lambda: read_history(folder)))),
    ]
    history = read_history(folder)
    figures.append(("its columns", shown(timed(lambda: history.rows.columns))))
    draw_training_curves(read_history(RunFolder(root)))  # loads what drawing needs
    figures.append(("drawing the curves, columns at hand", shown(timed(lambda: draw_training_curves(history)))))
    figures.append(
        ("refreshing JSON and CSV from the journal", shown(timed(lambda: refresh_views(folder, plots=False))))
    )
    return figures


def disturbance(folder: Path) -> Figures:
    """A busy loop of one thread, alone and beside a companion that follows 1,000 rows a second; in turn, five times."""

    def loop(recorder: TrainingMetricsRecorder | None) -> int:
        rounds, step, until = 0, 0, time.perf_counter() + 3.0
        due = time.perf_counter()
        while (now := time.perf_counter()) < until:
            if now >= due:
                due += 0.001
                step += 1
                if recorder is not None:
                    recorder.record_step(step=step, epoch=step / 1000, **METRICS)
            sum(range(200))
            rounds += 1
        return rounds

    alone, beside = [], []
    for n in range(5):
        alone.append(loop(None))
        recorder = TrainingMetricsRecorder(folder / str(n), save_interval=10)
        beside.append(loop(recorder))
        recorder.close()
    share = 1 - sum(beside) / sum(alone)
    return [("busy loop beside recording 1,000 rows/s with companion: throughput lost", f"{share * 100:.1f} %")]


def _resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


def main() -> None:
    """Measure, print, keep."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000, help="rows of the large run (default: 1000000)")
    rows = options.parse_args().rows
    figures: Figures = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, series in (
            ("burst", lambda path: burst(path)),
            ("many runs", lambda path: many_runs(path)),
            ("large run", lambda path: large_run(path, rows)),
            ("disturbance", lambda path: disturbance(path)),
        ):
            print(f"{name} …", file=sys.stderr, flush=True)
            figures += series(Path(scratch) / name)
    lines = [
        f"# Load, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}; shared machine of two cores.",
        "",
        "| | |",
        "|---|---:|",
        *(f"| {what} | {figure} |" for what, figure in figures),
        "",
    ]
    print("\n".join(lines))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-load.md").write_text("\n".join(lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
