"""`kiseki report` makes the report again from the journal alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kiseki.filesystem import FileLock
from kiseki.run_folder import RunFolder

Kiseki = Callable[..., Any]


def test_it_lists_the_files_to_submit_as_one_can_open_them_from_here(recorded: Path, kiseki: Kiseki) -> None:
    answer = kiseki("report", recorded)
    title, *paths = answer.out.splitlines()
    assert (answer.code, answer.err, title) == (0, "", "提出ファイル / Files to submit")
    reports = (recorded / "poc_reports").as_posix()
    assert [(path.strip().rpartition("/")[0], Path(path).suffix) for path in paths] == [
        (reports, ".json"),
        (reports, ".csv"),
        (reports, ".html"),
        (reports, ".pdf"),
    ]
    assert all(Path(path.strip()).is_file() for path in paths)


def test_deleted_views_come_back_byte_for_byte(recorded: Path, kiseki: Kiseki) -> None:
    folder = RunFolder(recorded)
    views = [folder.training_json, folder.training_csv, folder.evaluation_json, folder.evaluation_csv]
    before = [view.read_bytes() for view in views]
    for view in views:
        view.unlink()
    assert kiseki("report", recorded).code == 0
    assert [view.read_bytes() for view in views] == before


def test_r10_the_report_and_the_files_say_the_same(recorded: Path, kiseki: Kiseki) -> None:
    kiseki("report", recorded)
    report = json.loads(next(RunFolder(recorded).reports.glob("*.json")).read_bytes())
    assert report["metrics"]["history"] == json.loads(RunFolder(recorded).training_json.read_bytes())
    assert report["status"] == "completed"


def test_r26_a_run_that_is_being_recorded_is_reported_as_running_and_it_says_so(recorded: Path, kiseki: Kiseki) -> None:
    folder = RunFolder(recorded)
    content = folder.journal.read_bytes()
    folder.journal.write_bytes(content[: content.index(b'{"close"')])
    lock = FileLock(folder.journal_lock)
    assert lock.acquire()
    try:
        answer = kiseki("report", recorded, "--lang", "en")
    finally:
        lock.release()
    assert answer.code == 0
    assert "recording into this run now" in answer.err
    assert json.loads(next(folder.reports.glob("*.json")).read_bytes())["status"] == "running"


def test_another_folder_can_be_named(recorded: Path, kiseki: Kiseki, tmp_path: Path) -> None:
    before = sorted(RunFolder(recorded).root.rglob("poc_*"))
    answer = kiseki("report", recorded, "--out", tmp_path / "提出")
    assert answer.code == 0
    assert len(list((tmp_path / "提出").iterdir())) == 4
    assert sorted(RunFolder(recorded).root.rglob("poc_*")) == before


def test_a_copy_whose_views_cannot_be_refreshed_is_reported_elsewhere_with_a_warning(
    recorded: Path, kiseki: Kiseki, tmp_path: Path
) -> None:
    shutil.rmtree(recorded / "metrics" / "earlier", ignore_errors=True)
    folder = RunFolder(recorded)
    folder.training_json.unlink()
    folder.training_json.mkdir()
    (folder.training_json / "in the way").write_text("x", encoding="utf-8")
    answer = kiseki("report", recorded, "--out", tmp_path / "out")
    assert (answer.code, len(list((tmp_path / "out").iterdir()))) == (0, 4)
    assert answer.err.startswith("kiseki: warning: ")
    refused = kiseki("report", recorded)
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert "into another folder with --out DIR" in refused.err


def test_a_run_is_no_baseline_of_itself_whatever_its_folder_is_called(
    recorded: Path, kiseki: Kiseki, tmp_path: Path
) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(recorded, copied)
    for baseline in (recorded, recorded / ".." / recorded.name, copied):
        answer = kiseki("report", recorded, "--baseline", baseline)
        assert (answer.code, answer.out) == (2, "")
        assert "are the same run" in answer.err
    assert not RunFolder(recorded).reports.exists()


def test_formats_and_length_can_be_chosen(recorded: Path, kiseki: Kiseki) -> None:
    assert kiseki("report", recorded, "--format", "json", "--history-rows", "5").code == 0
    [path] = RunFolder(recorded).reports.iterdir()
    assert len(json.loads(path.read_bytes())["metrics"]["history"]) == 5


@pytest.mark.parametrize(
    "words",
    [
        ["report"],
        ["report", "{missing}"],
        ["report", "{file}"],
        ["report", "{empty}"],
        ["report", "{run}", "--format", "docx"],
        ["report", "{run}", "--format", ""],
        ["report", "{run}", "--lang", "fr"],
        ["report", "{run}", "--out", "{file}"],
        ["report", "{run}", "--out", "{file}/below"],
        ["report", "{run}", "--history-rows", "0"],
        ["report", "{run}", "--nonsense"],
        ["show"],
        ["show", "{missing}"],
        ["show", "{file}"],
        ["show", "{empty}"],
        ["reprot", "{run}"],
    ],
)
def test_wrong_use_is_one_line_and_exit_2_and_nothing_is_written(
    recorded: Path, kiseki: Kiseki, tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "a file").write_text("x", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    places = {
        "run": recorded,
        "missing": tmp_path / "missing",
        "file": tmp_path / "a file",
        "empty": tmp_path / "empty",
    }
    before = sorted(tmp_path.rglob("*"))
    answer = kiseki(*(word.format(**places) for word in words))
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("kiseki: error: ")
    assert answer.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_naming_the_metrics_folder_points_to_its_parent(recorded: Path, kiseki: Kiseki) -> None:
    answer = kiseki("report", recorded / "metrics")
    assert answer.code == 2
    assert f"did you mean its parent, {recorded}?" in answer.err


def test_a_hostile_path_does_not_steer_the_terminal(kiseki: Kiseki) -> None:
    answer = kiseki("report", "x\x1b[2Jy\nkiseki: all is well")
    assert answer.code == 2
    assert "\x1b" not in answer.err
    assert answer.err.count("\n") == 1
