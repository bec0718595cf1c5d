"""What becomes of a record that stands in the folder: continued, repaired, refused, or set aside whole."""

from pathlib import Path

import pytest

from kiseki import ForeignRun, JournalDamaged, TrainingMetricsRecorder, UsageError
from kiseki.history import read_history
from kiseki.run_folder import RunFolder
from support import opened, write_journal


def record(root: Path, steps: range, **options: object) -> TrainingMetricsRecorder:
    recorder = TrainingMetricsRecorder(root, "m", save_plots=False, companion=False, **options)  # type: ignore[arg-type]
    for step in steps:
        recorder.record_step(step=step, epoch=step / 10, loss=1 / step, learning_rate=0.1)
    return recorder


def test_r08_a_resumed_run_keeps_earlier_rows_marks_overlap_superseded_and_goes_on_in_time(
    tmp_path: Path, clock: object
) -> None:
    first = record(tmp_path, range(1, 8), clock=clock)
    clock.pass_seconds(70)  # type: ignore[attr-defined]
    first.record_step(step=8, epoch=0.8, loss=0.125, learning_rate=0.1)
    first.close("interrupted")
    clock.pass_seconds(1000)  # type: ignore[attr-defined]
    second = record(tmp_path, range(6, 10), resume_step=5, clock=clock)
    second.close()

    history = read_history(RunFolder(tmp_path))
    assert [attempt.status for attempt in history.attempts] == ["interrupted", "completed"]
    assert list(history.rows.steps) == list(range(1, 10))
    assert [history.rows.attempt(position) for position in range(9)] == [1] * 5 + [2] * 4
    assert (history.attempts[0].rows, history.attempts[0].superseded) == (8, 3)
    assert history.rows.superseded == 3
    elapsed = [row["elapsed_time_seconds"] for row in history.rows.decoded()]
    assert elapsed == [0.0] * 5 + [70.0] * 4, "the hour between the attempts was not spent training"
    assert second.run_id == first.run_id
    assert b'"step":8' in RunFolder(tmp_path).journal.read_bytes().split(b'"attempt":2')[0], "nothing is deleted"


def test_rows_beyond_the_resumed_step_are_superseded_even_if_they_are_never_reached_again(tmp_path: Path) -> None:
    record(tmp_path, range(1, 8)).close()
    record(tmp_path, range(4, 5), resume_step=3).close()
    assert list(read_history(RunFolder(tmp_path)).rows.steps) == [1, 2, 3, 4]


def test_without_resume_step_the_earlier_record_is_set_aside_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = record(tmp_path, range(1, 4), config={"a": 1})
    first.close()
    metrics = tmp_path / "metrics"
    before = {path.name: path.read_bytes() for path in metrics.iterdir() if path.suffix in (".json", ".csv", ".jsonl")}
    second = record(tmp_path, range(1, 2), config={"a": 2})
    second.close()
    aside = metrics / "earlier" / first.run_id
    assert {path.name: path.read_bytes() for path in (aside / "metrics").iterdir() if path.name in before} == before
    assert list(read_history(RunFolder(aside)).rows.steps) == [1, 2, 3]
    assert list(read_history(RunFolder(tmp_path)).rows.steps) == [1]
    assert second.run_id != first.run_id
    assert len([r for r in caplog.records if "stands whole in" in r.getMessage()]) == 1


def test_r09_a_torn_tail_is_moved_aside_and_noted_and_every_row_is_kept(tmp_path: Path) -> None:
    record(tmp_path, range(1, 4)).close()
    folder = RunFolder(tmp_path)
    torn = b'{"row":{"step":4,"lo'
    with folder.journal.open("ab") as journal:
        journal.write(torn)
    record(tmp_path, range(4, 6), resume_step=3).close()
    assert (folder.metrics / "journal.broken-1").read_bytes() == torn
    history = read_history(folder)
    assert history.damage == ()
    assert list(history.rows.steps) == [1, 2, 3, 4, 5]
    (note,) = history.notes_of("repair")
    assert (note["bytes"], note["kept_as"]) == (len(torn), "journal.broken-1")


def test_damage_inside_the_record_refuses_to_append_changes_nothing_and_says_where(tmp_path: Path) -> None:
    record(tmp_path, range(1, 4)).close()
    folder = RunFolder(tmp_path)
    damaged = folder.journal.read_bytes().replace(b'"loss":0.5', b'"loss":0.4')
    folder.journal.write_bytes(damaged)
    with pytest.raises(JournalDamaged, match=r"line 4 \(byte \d+\)"):
        record(tmp_path, range(4, 5), resume_step=3)
    assert folder.journal.read_bytes() == damaged
    record(tmp_path, range(1, 2)).close()  # a new run may begin: the damaged record is set aside as it is
    assert len(list(folder.earlier.iterdir())) == 1


def test_another_configuration_is_refused_with_the_difference_named(tmp_path: Path) -> None:
    record(tmp_path, range(1, 4), config={"lr": 0.1, "data": {"file": "a"}}).close()
    before = RunFolder(tmp_path).journal.read_bytes()
    with pytest.raises(ForeignRun, match=r"data\.file: 'a' -> 'b'"):
        record(tmp_path, range(4, 5), resume_step=3, config={"lr": 0.1, "data": {"file": "b"}})
    assert RunFolder(tmp_path).journal.read_bytes() == before
    record(
        tmp_path, range(4, 5), resume_step=3, config={"lr": 0.1, "data": {"file": "b"}}, allow_config_change=True
    ).close()
    assert list(read_history(RunFolder(tmp_path)).rows.steps) == [1, 2, 3, 4]


def test_another_run_id_is_refused(tmp_path: Path) -> None:
    record(tmp_path, range(1, 4), run_id="mine").close()
    with pytest.raises(ForeignRun, match="the run that stands here is mine, not yours"):
        record(tmp_path, range(4, 5), resume_step=3, run_id="yours")


def test_a_journal_of_only_a_torn_line_becomes_a_new_run(tmp_path: Path) -> None:
    folder = write_journal(tmp_path, [])
    folder.journal.write_bytes(b'{"open":{"form')
    record(tmp_path, range(1, 3), resume_step=0).close()
    assert list(read_history(folder).rows.steps) == [1, 2]


def test_a_cell_that_is_run_again_closes_the_old_recorder_first(tmp_path: Path) -> None:
    old = record(tmp_path, range(1, 3))
    new = record(tmp_path, range(1, 2))
    assert old.record_step(step=3, epoch=0.3, loss=1.0, learning_rate=0.1) is False
    new.close()
    assert list(read_history(RunFolder(tmp_path)).rows.steps) == [1]
    assert read_history(RunFolder(tmp_path / "metrics" / "earlier" / old.run_id)).status == "interrupted"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"save_interval": 0}, "save_interval: 0"),
        ({"save_interval": -5}, "save_interval: -5"),
        ({"save_interval": True}, "save_interval: True"),
        ({"save_interval": 2.5}, r"save_interval: 2\.5"),
        ({"resume_step": -1}, "resume_step: -1"),
        ({"run_id": "../x"}, r"run_id: '\.\./x'"),
        ({"language": "fr"}, "language: 'fr'"),
    ],
)
def test_r32_arguments_are_checked_before_anything_is_written(
    tmp_path: Path, options: dict[str, object], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        TrainingMetricsRecorder(tmp_path / "run", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_an_older_attempt_without_rows_does_not_hide_the_run(tmp_path: Path) -> None:
    folder = write_journal(tmp_path, [opened(), ("row", {"step": 1, "loss": 1.0}), opened(2, resume_step=1)])
    assert [attempt.rows for attempt in read_history(folder).attempts] == [1, 0]


def test_the_earlier_run_s_reports_and_plots_go_with_its_record(tmp_path: Path) -> None:
    """Whoever submits what stands in poc_reports/ submits the run that stands there."""
    folder = RunFolder(tmp_path)
    first = record(tmp_path, range(1, 4))
    first.close()
    first.generate_poc_report(formats=["json", "csv"])
    folder.plots.mkdir()
    (folder.plots / "by_hand.png").write_bytes(b"png")
    before = {path.name: path.read_bytes() for path in folder.reports.iterdir()}
    assert len(before) == 2

    record(tmp_path, range(4, 5), resume_step=3).close()
    assert {path.name for path in folder.reports.iterdir()} == set(before), "a run that goes on keeps what it has"

    record(tmp_path, range(1, 2)).close()
    aside = RunFolder(folder.earlier / first.run_id)
    assert {path.name: path.read_bytes() for path in aside.reports.iterdir()} == before
    assert (aside.plots / "by_hand.png").read_bytes() == b"png"
    assert list(folder.reports.iterdir()) == list(folder.plots.iterdir()) == []


def test_a_report_made_between_two_interrupted_moves_replaces_none_that_was_moved(tmp_path: Path) -> None:
    """Killed before the journal's move, then `kiseki report`, then a new run: both reports stand."""
    folder = RunFolder(tmp_path)
    first = record(tmp_path, range(1, 4))
    first.close()
    for place in (folder, RunFolder(folder.earlier / first.run_id)):
        place.reports.mkdir(parents=True)
        (place.reports / "poc_report_1.json").write_text(str(place.root), encoding="utf-8")
    record(tmp_path, range(1, 2)).close()
    (home,) = folder.earlier.iterdir()
    moved = {path.name: path.read_text(encoding="utf-8") for path in RunFolder(home).reports.iterdir()}
    assert moved == {"poc_report_1.json": str(home), "poc_report_1_2.json": str(tmp_path)}
