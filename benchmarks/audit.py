"""How many audit rows a second are committed, durably, and how long one request waits for its own.

As many requests as the first column says are under way at the same time; each hands in its next row when the last one
is committed. Beside it the floor: the disk's own sync of a few kilobytes.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from kiseki.filesystem import sync_data
from so8t.data.thinking_record import SafetyLabel
from so8t.serve.audit.event import AuditEvent
from so8t.serve.audit.keys import AuditKey
from so8t.serve.audit.log import AuditLog
from so8t.serve.gate import Parts
from so8t.serve.outcome import Outcome

ROWS = 4000
AT_ONCE = (1, 8, 64, 512)
THINKING = "考えの文章。" * 200


def event(number: int) -> AuditEvent:
    """An answered request with 1,200 characters in each part of its thinking."""
    return AuditEvent(
        request_id=f"r{number}", user_id="user", query="question" * 20, answer="answer" * 50, raw_output=THINKING * 4,
        parts=Parts(THINKING, THINKING, THINKING, "answer" * 50), outcome=Outcome.ANSWERED, latency_ms=100,
        safety_label=SafetyLabel.ALLOW, safety_confidence=0.9, model_id="m", policy_digest="cd" * 32,
    )  # fmt: skip


async def measure(log: AuditLog, at_once: int, rows: int) -> tuple[float, list[float]]:
    """Commit rows; give seconds and how long each took, sorted."""
    numbers, waited = iter(range(rows)), []

    async def request() -> None:
        for number in numbers:
            began = time.perf_counter()
            await log.commit(event(number))
            waited.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(request() for _ in range(at_once)))
    return time.perf_counter() - began, sorted(waited)


def sync_seconds(folder: Path) -> float:
    """Median time of writing 8 KiB and syncing it."""
    taken = []
    with (folder / "sync").open("wb") as file:
        for _ in range(200):
            began = time.perf_counter()
            os.write(file.fileno(), bytes(8192))
            sync_data(file.fileno())
            taken.append(time.perf_counter() - began)
    return sorted(taken)[len(taken) // 2]


def main() -> None:
    """Measure and print a table; write it down beside the other results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a postgresql:// URL instead of a SQLite file")
    parser.add_argument("--no-result", action="store_true", help="print only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        where = options.url or str(Path(scratch) / "audit.db")
        kind = "PostgreSQL" if options.url else "SQLite"
        lines = [
            f"# Audit rows committed, {kind}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} CPUs", "",
            f"Writing 8 KiB and syncing it: {sync_seconds(Path(scratch)) * 1e3:.2f} ms (median).", "",
            "| requests at once | rows/s | p50 wait | p99 wait |", "|---:|---:|---:|---:|",
        ]  # fmt: skip
        log = AuditLog(where, AuditKey.of(bytes(32)))
        for at_once in AT_ONCE:
            seconds, waited = asyncio.run(measure(log, at_once, ROWS))
            p50, p99 = (waited[round(share * (ROWS - 1))] * 1e3 for share in (0.5, 0.99))
            lines.append(f"| {at_once} | {ROWS / seconds:.0f} | {p50:.2f} ms | {p99:.2f} ms |")
        log.close()
    text = "\n".join([*lines, ""])
    print(text)
    if not options.no_result:
        name = f"{datetime.now(UTC):%Y-%m-%d}-audit-{kind.lower()}.md"
        target = Path(__file__).parent / "results" / name
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    sys.exit(main())
