"""What tests of several rooms share: a clock that is told the time, strict reading, journals made by hand."""

import json
import os
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kiseki.record.line import OPEN, frame
from kiseki.run_folder import RunFolder


class ToldClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, wall: int = 1_763_874_000_000_000_000, monotonic: int = 5_000_000_000) -> None:
        self.wall = wall
        self.monotonic = monotonic

    def wall_nanoseconds(self) -> int:
        return self.wall

    def monotonic_nanoseconds(self) -> int:
        return self.monotonic

    def pass_seconds(self, seconds: float) -> None:
        self.wall += round(seconds * 1e9)
        self.monotonic += round(seconds * 1e9)


def strict_json(text: str | bytes) -> Any:
    """json.loads that refuses NaN, Infinity and -Infinity, which are not JSON."""

    def refuse(token: str) -> None:
        raise ValueError(f"{token} is not JSON")

    return json.loads(text, parse_constant=refuse)


def opened(attempt: int = 1, **more: object) -> tuple[str, dict[str, object]]:
    """An `open` line's kind and object, as the recorder writes it."""
    return OPEN, {
        "format": 1,
        "run_id": "run",
        "attempt": attempt,
        "timestamp": "2026-11-23T05:00:00.000000Z",
        "model_name": "model",
        **more,
    }


def write_journal(root: Path, lines: Iterable[tuple[str, Mapping[str, Any]]]) -> RunFolder:
    """A run folder whose journal holds these lines."""
    folder = RunFolder(root)
    folder.metrics.mkdir(parents=True, exist_ok=True)
    framed = (
        frame(kind, json.dumps(content, ensure_ascii=False, allow_nan=False).encode(), seq)
        for seq, (kind, content) in enumerate(lines)
    )
    folder.journal.write_bytes(b"".join(framed))
    return folder


def stop_and_wait(pid: int) -> None:
    """SIGSTOP, and wait until it stands still: a system call that has begun ends first."""
    os.kill(pid, signal.SIGSTOP)
    until = time.monotonic() + 30
    while Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
        assert time.monotonic() < until, "the process does not stop"
        time.sleep(0.001)
