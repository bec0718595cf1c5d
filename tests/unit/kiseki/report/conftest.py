"""Real journals, built line by line, and the reports made of them."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kiseki.record.line import frame
from kiseki.run_folder import RunFolder

NOW = datetime(2026, 11, 23, 6, 7, 8, tzinfo=UTC)
Line = tuple[str, Mapping[str, Any]]


class RunBuilder:
    """Writes a journal as a recorder would, one line after the other."""

    def __init__(self, root: Path) -> None:
        self.folder = RunFolder(root)
        self.folder.metrics.mkdir(parents=True)
        self._seq = 0
        self._attempt = 0

    def line(self, kind: str, payload: Mapping[str, Any]) -> "RunBuilder":
        encoded = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")
        with self.folder.journal.open("ab") as journal:
            journal.write(frame(kind, encoded, self._seq))
        self._seq += 1
        return self

    def opened(self, **keys: Any) -> "RunBuilder":
        self._attempt += 1
        return self.line(
            "open",
            {
                "format": 1,
                "run_id": "20261123-050000-0a1b2c3d",
                "attempt": self._attempt,
                "timestamp": f"2026-11-23T0{self._attempt}:00:00.000000Z",
                "monotonic_seconds": 5.0,
                "elapsed_before_seconds": 0.0,
                "recorder": "kiseki 0.1.0",
                "model_name": "borea_phi35_so8t",
                "language": "ja",
                "save_interval": 10,
                "outputs": {"json": True, "csv": True, "plots": False},
                "side_files": {},
                **keys,
            },
        )

    def row(self, step: int, **metrics: Any) -> "RunBuilder":
        return self.line("row", {**self._where(step), "loss": 2.0, "learning_rate": 2e-4, **metrics})

    def evaluation(self, step: int, **metrics: Any) -> "RunBuilder":
        return self.line("eval", {**self._where(step), **metrics})

    def note(self, kind: str, **keys: Any) -> "RunBuilder":
        return self.line("note", {"kind": kind, "timestamp": "2026-11-23T05:30:00.000000Z", **keys})

    def seal(self) -> "RunBuilder":
        content = self.folder.journal.read_bytes()
        return self.line("seal", {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})

    def closed(self, status: str = "completed", **keys: Any) -> "RunBuilder":
        return self.line(
            "close",
            {
                "status": status,
                "timestamp": f"2026-11-23T0{self._attempt}:59:00.000000Z",
                "elapsed_time_seconds": 3540.0,
                "recorder_errors": 0,
                "dropped_rows": 0,
                **keys,
            },
        )

    def side_file(self, name: str, content: Mapping[str, Any]) -> str:
        path = self.folder.side_file(name, max(self._attempt, 1))
        path.write_text(json.dumps({"salt": "00", name: content}), encoding="utf-8")
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def _where(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "epoch": step / 100,
            "timestamp": f"2026-11-23T0{self._attempt}:{step % 60:02d}:00.000000Z",
            "elapsed_time_seconds": step * 1.5,
            "attempt": self._attempt,
        }


@pytest.fixture
def run(tmp_path: Path) -> RunBuilder:
    return RunBuilder(tmp_path / "run")


@pytest.fixture(scope="session")
def builder() -> type[RunBuilder]:
    """For tests that build many runs."""
    return RunBuilder


@pytest.fixture(scope="session")
def read_strictly() -> Callable[[bytes], Any]:
    return strict_json


def strict_json(content: bytes) -> Any:
    def refuse(token: str) -> None:
        raise ValueError(f"{token} is not JSON")

    def unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), f"a key stands twice in {[key for key, _ in pairs]}"
        return dict(pairs)

    return json.loads(content.decode("utf-8"), parse_constant=refuse, object_pairs_hook=unique)


@pytest.fixture
def report_of() -> Callable[..., dict[str, Any]]:
    """The report's JSON as a partner's strict parser reads it."""
    from kiseki.report.dossier import gather
    from kiseki.report.to_json import to_json

    def make(run: RunBuilder, history_rows: int | None = None, **options: Any) -> dict[str, Any]:
        report = strict_json(to_json(gather(run.folder, now=NOW, **options), history_rows=history_rows))
        assert isinstance(report, dict)
        return report

    return make


@pytest.fixture
def summary_of(tmp_path: Path) -> Callable[..., dict[tuple[str, str], str]]:
    """The summary CSV as `csv` reads it: value by metric and statistic."""
    import csv

    from kiseki.report.dossier import gather
    from kiseki.report.to_csv import to_csv

    def make(run: RunBuilder) -> dict[tuple[str, str], str]:
        path = tmp_path / "summary.csv"
        path.write_bytes(to_csv(gather(run.folder, now=NOW)))
        with path.open(encoding="utf-8", newline="") as table:
            lines = list(csv.reader(table))
        assert lines[0] == ["metric", "statistic", "value"]
        values = {(metric, statistic): value for metric, statistic, value in lines[1:]}
        assert len(values) == len(lines) - 1, "a metric's statistic stands twice"
        return values

    return make
