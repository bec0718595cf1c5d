"""A1, A2: a process that is killed at any instant, or in the middle of any write, loses nothing it acknowledged."""

import random
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from faults.harness import COUNT, CUT, Fault, Server, check_what_is_left, resume_and_check, rows_of_views
from kiseki import TrainingMetricsRecorder
from kiseki.companion.views import refresh_views
from kiseki.history import read_history
from kiseki.run_folder import RunFolder

Sample = Callable[[Sequence[Any], int], Sequence[Any]]


@pytest.mark.parametrize(("row_bytes", "kills", "quickly"), [(300, 200, 10), (20_000, 200, 8), (1_000_000, 100, 5)])
def test_a1_killed_at_a_random_instant_no_acknowledged_row_is_lost_and_every_file_parses(
    plain_server: Server, tmp_path: Path, chance: random.Random, full: bool, row_bytes: int, kills: int, quickly: int
) -> None:
    torn = acknowledged = with_views = 0
    for trial in range(kills if full else quickly):
        root = tmp_path / str(trial)
        told = plain_server.run(
            "rows_until_killed", root, kill_after=chance.uniform(0, 0.15), padding=row_bytes - 170, refresh_every=7
        )
        assert told.status == -signal.SIGKILL
        folder = RunFolder(root)
        with_views += bool(rows_of_views(folder) if folder.metrics.exists() else False)
        steps = check_what_is_left(root, told)
        acknowledged += len(told.acknowledged)
        if not steps:
            continue
        history = read_history(folder)
        assert steps == list(range(1, len(steps) + 1))
        assert len(steps) - len(told.acknowledged) <= 1, "at most the row that was being told"
        if history.tail_bytes:
            torn += 1
            assert folder.journal.read_bytes()[history.good_bytes :].count(b"\n") == 0, "more than one torn line"
        refresh_views(folder, plots=False)
        assert rows_of_views(folder) == [steps, steps]
        recorder = TrainingMetricsRecorder(
            root, resume_step=steps[-1], companion=False, save_plots=False, config={"rank": 8}
        )
        recorder.close()
        assert read_history(folder).rows.steps.tolist() == steps
    print(f"{row_bytes} B: {acknowledged} rows acknowledged, {torn} torn tails, views stood in {with_views} trials")
    assert acknowledged > 0


def test_a2_cut_at_any_byte_it_writes_a_run_loses_nothing_and_resumes_exactly(
    server: Server, tmp_path: Path, sample: Sample
) -> None:
    counted = server.run("few_rows", tmp_path / "counted", Fault(COUNT))
    ((_, written),) = counted.of("calls")
    assert written >= 1_400
    points = sample(range(1, written + 1), 60)
    for byte in points:
        root = tmp_path / str(byte)
        told = server.run("few_rows", root, Fault(CUT, at=byte))
        # times have more or fewer digits from run to run, so that the last bytes are not always there
        assert told.status == -signal.SIGKILL or byte > written - 100, f"byte {byte} of {written} was not reached"
        resume_and_check(root, check_what_is_left(root, told))
    print(f"{len(points)} of {written} bytes")
