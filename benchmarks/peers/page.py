"""The figures of one measurement as Markdown."""

import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass
class Measured:
    """What is known of one peer: the answers of its workers, and why there are no more."""

    rows: int
    costs: list[dict[str, Any]] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    paced_us: list[float] = field(default_factory=list)
    import_ms: float | None = None
    failure: str = ""

    def cost(self, name: str) -> float | None:
        """Median over the rounds."""
        return statistics.median(figures[name] for figures in self.costs) if self.costs else None


COLUMNS: dict[str, Callable[[Measured], str]] = {
    "version": lambda peer: peer.costs[0]["version"] if peer.costs else "",
    "rows × rounds": lambda peer: f"{peer.rows:,} × {len(peer.costs)}",
    "p50 µs": lambda peer: shown(peer.cost("p50_us")),
    "lowest–highest": lambda peer: (
        "–".join(shown(bound(c["p50_us"] for c in peer.costs)) for bound in (min, max)) if peer.costs else "–"
    ),
    "p99 µs": lambda peer: shown(peer.cost("p99_us")),
    "p50 µs, a row a ms": lambda peer: shown(statistics.median(peer.paced_us) if peer.paced_us else None),
    "CPU µs/row, process": lambda peer: shown(peer.cost("own_cpu_us")),
    "with helpers": lambda peer: shown(peer.cost("loop_cpu_us")),
    "to the end of close": lambda peer: shown(peer.cost("cpu_us")),
    "close s": lambda peer: shown(peer.cost("close_s")),
    "last/first tenth": lambda peer: shown(peer.cost("growth")),
    "bytes/row": lambda peer: shown(peer.cost("bytes_per_row")),
    "lost at SIGKILL, median (max)": lambda peer: (
        f"{statistics.median(peer.lost):g} ({max(peer.lost)}) of {len(peer.lost)}" if peer.lost else "–"
    ),
    "import CPU ms": lambda peer: shown(peer.import_ms),
}

METHOD = """
## Method

- A row is step, epoch and six float metrics. Each peer runs alone, in its own environment and process, offline, with
  its defaults otherwise. A run counts only when every row could be read back with its values after a clean end.
- p50, p99: the logging call in a tight loop, median over rounds that go round all peers (a slow peer has fewer).
  "A row a ms": the same call when the loop sleeps in between, as in training; taken from the kill trials.
- CPU per row: all threads of the process, in the loop; with its helper processes; with what is left to `close`
  (queues; in kiseki also JSON, CSV, curves and report, which no other makes). Start-up is not in it: the loop begins
  two seconds after opening. Live helpers are counted in ticks of 10 ms.
- last/first tenth: median call of the last tenth of the rows over that of the first.
- bytes/row: everything below the run folder after `close`, fixed parts included.
- lost: acknowledged rows (the call had returned and a pipe had said so) that could not be read with their values after
  SIGKILL of the process at a random row, a row a millisecond. Helpers may finish first. It is not a power cut.
- import: CPU time beyond the bare interpreter's, median of five.

## Caveats

- Read differences below 2 × as equal: virtual cores change speed, and others work on them.
- The floors write those eight fields. Trackers add a time; kiseki a time, elapsed time, attempt, CRC, running hash.
- tensorboardX keeps float32. Each peer's own reader reads; W&B has none for its offline file, whose frames are walked.
- Aim writes a value before the step it belongs to. After a kill in between, its reader pairs many values of that
  metric with wrong steps; such rows count as lost (2 of 23 kills when this was written, 71 and 142 rows).
- A tight loop ends before kiseki's companion acts: its work, mostly one drawing, is in "to the end of close".
"""


def page(measured: dict[str, Measured]) -> str:
    """Figures, ratios, what failed, and how to read it."""
    good = {name: peer for name, peer in measured.items() if peer.costs}
    beside = [name for name in ("json", "orjson", "kiseki") if name in good]
    lines = [
        f"# Recording a row, beside other trackers, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}, {platform.machine()}, "
        f"{os.cpu_count()} cores. `json` (`json.dumps`, write, flush) is the floor, `orjson` (`orjson.dumps`, "
        "`os.write`) the low floor.",
        "",
        *table(["", *COLUMNS], [[name, *(cell(peer) for cell in COLUMNS.values())] for name, peer in good.items()]),
        "",
        "## Ratios",
        "",
        *table(
            ["", *(f"p50 × {name}" for name in beside), *(f"CPU with helpers × {name}" for name in beside)],
            [
                [name, *(ratio(peer, good[other], key) for key in ("p50_us", "loop_cpu_us") for other in beside)]
                for name, peer in good.items()
            ],
        ),
        "",
    ]
    if failed := {name: peer.failure for name, peer in measured.items() if peer.failure}:
        lines += ["## Not measured, or not wholly", "", *(f"- {name}: {reason}" for name, reason in failed.items()), ""]
    if shares := [figures["others_share"] for peer in good.values() for figures in peer.costs]:
        median, worst = statistics.median(shares), max(shares)
        lines.append(f"Other work took {median:.0%} of the cores meanwhile (median run; {worst:.0%} in the worst).")
    if "kiseki" in good:
        files = good["kiseki"].costs[-1]["largest_files"]
        told = ", ".join(f"`{name}` {size:.0f}" for name, size in files.items())
        lines.append(f"kiseki's bytes per row: {told}.")
    return "\n".join(lines) + "\n" + METHOD


def ratio(peer: Measured, other: Measured, key: str) -> str:
    """How many times another's figure."""
    mine, theirs = peer.cost(key), other.cost(key)
    return shown(mine / theirs if mine is not None and theirs else None)


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return ["| " + " | ".join(row) + " |" for row in (head, ["---", *["---:"] * (len(head) - 1)], *rows)]


def shown(value: float | None) -> str:
    """Three figures, or a dash."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
