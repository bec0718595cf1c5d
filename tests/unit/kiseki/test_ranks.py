"""Several processes that train together: world process zero records, others only when asked, merged at reading."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from kiseki import TrainingMetricsRecorder, UsageError
from kiseki.history import read_history
from kiseki.ranks import merged, read_ranks
from kiseki.run_folder import RunFolder

RANKS, STEPS = 4, 200


def record(root: Path, rank: int, steps: range, **options: object) -> TrainingMetricsRecorder:
    recorder = TrainingMetricsRecorder(root, save_plots=False, companion=False, rank=rank, **options)  # type: ignore[arg-type]
    for step in steps:
        recorder.record_step(step, step / 10, rank + 1 / step, 0.1)
    return recorder


def test_b4_four_ranks_that_record_the_same_names_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    program = f"""
        import sys
        from kiseki import TrainingMetricsRecorder
        rank = int(sys.argv[2])
        with TrainingMetricsRecorder(sys.argv[1], save_plots=False, rank=rank, per_rank=True) as recorder:
            for step in range(1, {STEPS + 1}):
                assert recorder.record_step(step, step / 10, rank + 1 / step, 0.1)
    """
    ranks = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), str(tmp_path), str(rank)])
        for rank in range(RANKS)
    ]
    assert [rank.wait(60) for rank in ranks] == [0] * RANKS
    folder = RunFolder(tmp_path)
    assert sorted(path.name for path in folder.ranks.glob("*.jsonl")) == [
        f"rank_{rank:05d}.jsonl" for rank in range(1, RANKS)
    ]
    rows = list(merged(read_ranks(folder)))
    assert [(row["step"], row["rank"]) for row in rows] == [
        (step, rank) for step in range(1, STEPS + 1) for rank in range(RANKS)
    ]
    assert all(row["loss"] == row["rank"] + 1 / row["step"] for row in rows)
    assert rows == list(merged(read_ranks(folder)))
    assert len(list(folder.reports.glob("*.json"))) == 1, "one report, from rank 0"
    assert len(read_history(folder).rows) == STEPS, "the run's own record is rank 0's"


def test_a_rank_that_was_not_asked_writes_nothing_whatever_is_called(tmp_path: Path) -> None:
    with record(tmp_path / "run", 1, range(1, 5)) as recorder:
        assert recorder.record_evaluation(4, eval_loss=1.0) is False
        assert recorder.mark("phase", name="x", step=1) is False
        assert recorder.flush()
        assert recorder.refresh()
    assert not (tmp_path / "run").exists()
    assert (recorder.errors, recorder.dropped_rows) == (0, 0)
    with pytest.raises(UsageError, match="rank 1 makes no report"):
        recorder.generate_poc_report()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_new_run_sets_every_ranks_earlier_journal_aside_whoever_begins_first(
    tmp_path: Path, order: tuple[int, int]
) -> None:
    for rank in (0, 1):
        record(tmp_path, rank, range(1, 6), per_rank=True, run_id="first").close()
    recorders = [record(tmp_path, rank, range(1, 3), per_rank=True, run_id="second") for rank in order]
    for recorder in recorders:
        recorder.close()
    folder = RunFolder(tmp_path)
    histories = read_ranks(folder)
    assert {rank: (h.run_id, list(h.rows.steps)) for rank, h in histories.items()} == {
        0: ("second", [1, 2]),
        1: ("second", [1, 2]),
    }
    assert [path.name for path in (folder.ranks / "earlier").iterdir()] == ["first.rank_00001.jsonl"]


def test_a_rank_goes_on_where_it_was_resumed_and_repairs_its_own_torn_tail(tmp_path: Path) -> None:
    record(tmp_path, 1, range(1, 6), per_rank=True).close()
    folder = RunFolder(tmp_path, rank=1)
    with folder.journal.open("ab") as journal:
        journal.write(b'{"row":{"st')
    record(tmp_path, 1, range(4, 7), per_rank=True, resume_step=3).close()
    history = read_history(folder)
    assert list(history.rows.steps) == [1, 2, 3, 4, 5, 6]
    assert history.rows.superseded == 2
    assert (folder.ranks / "rank_00001.broken-1").read_bytes() == b'{"row":{"st'


def test_a_folder_in_which_no_rank_recorded_says_so(tmp_path: Path) -> None:
    from kiseki import RunFolderError

    with pytest.raises(RunFolderError, match="no rank recorded here"):
        read_ranks(RunFolder(tmp_path))
