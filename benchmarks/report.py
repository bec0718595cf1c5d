"""What a report costs: every format, made from a record of a million rows, in processes of their own.

    python benchmarks/report.py [--rows N]

Targets: all formats within 15 s and 600 MB, the page within 600 kB, the PDF within 2 MB.
"""

import argparse
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from kiseki import TrainingMetricsRecorder
from kiseki.report.generate import DEFAULT_FORMATS

RESULTS = Path(__file__).parent / "results"
_PROGRAM = """
import sys
from pathlib import Path
from kiseki.report.generate import generate_report
from kiseki.run_folder import RunFolder
files = generate_report(RunFolder(Path(sys.argv[1])), out=Path(sys.argv[2]), formats=sys.argv[3].split(","))
assert not files.failed, files.failed
"""


def record(root: Path, rows: int) -> None:
    """A run of so many rows of seven metrics, evaluated a hundred times."""
    recorder = TrainingMetricsRecorder(root, companion=False, save_plots=False, save_json=False, save_csv=False)
    for step in range(1, rows + 1):
        noise = math.sin(step * 12.9898) * 0.05
        recorder.record_step(
            step=step,
            epoch=step / rows,
            loss=2 + 4 * math.exp(-5 * step / rows) + noise,
            learning_rate=1e-4,
            pet_loss=0.01,
            accuracy=0.5 + noise,
            perplexity=9.1,
            grad_norm=1 + noise,
        )
        if step % max(1, rows // 100) == 0:
            recorder.record_evaluation(step, eval_loss=2 + 4 * math.exp(-5 * step / rows))
    recorder.close()


def measured(root: Path) -> Iterator[tuple[str, float, float, int]]:
    """Formats, seconds, peak memory in MB and bytes of the last file; each line in a process of its own."""
    for formats in (("json", "csv"), ("html",), ("pdf",), DEFAULT_FORMATS):
        with tempfile.TemporaryDirectory() as out:
            began = time.perf_counter()
            command = [sys.executable, "-c", _PROGRAM, str(root), out, ",".join(formats)]
            with subprocess.Popen(command) as process:
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise SystemExit(f"{', '.join(formats)}: the report failed")
            largest = max(Path(out).iterdir(), key=lambda path: path.stat().st_mtime_ns)
            yield ", ".join(formats), time.perf_counter() - began, usage.ru_maxrss / 1024, largest.stat().st_size


def main() -> int:
    """Measure, print, and keep a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    now = datetime.now(UTC)
    lines = [
        f"# The report of {rows:,} rows",
        "",
        f"{now:%Y-%m-%d %H:%M} UTC, Python {platform.python_version()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}. Each line is a process of its own, from the start of Python to its end.",
        "",
        "| formats | seconds | peak memory | last file |",
        "|---|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder), rows)
        for formats, seconds, megabytes, size in measured(Path(folder)):
            lines.append(f"| {formats} | {seconds:.1f} | {megabytes:,.0f} MB | {size / 1000:,.0f} kB |")
            print(lines[-1], flush=True)
    page = RESULTS / f"{now:%Y-%m-%d}-report.md"
    page.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
