"""Two files under one timestamp, both or none, never over another."""

import hashlib
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pikepdf
import pytest

from kiseki.errors import RunFolderError, UsageError
from kiseki.report import generate, writing
from kiseki.report.generate import DATA, ReportFiles
from kiseki.report.generate import generate_report as generate_any
from support import strict_json

NOW = datetime(2026, 11, 23, 6, 7, 8, tzinfo=UTC)


generate_report = partial(generate_any, formats=DATA)
"""JSON and CSV: what these tests are about costs no PDF each time."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_both_files_have_one_timestamp_in_utc(run: Any) -> None:
    in_tokyo = NOW.astimezone(timezone(timedelta(hours=9)))
    files = generate_report(run.opened().row(10).closed().folder, now=in_tokyo)
    assert files.json == run.folder.reports / "poc_report_20261123_060708.json"
    assert files.csv == run.folder.reports / "poc_summary_20261123_060708.csv"
    assert names(run.folder.reports) == [files.json.name, files.csv.name]


def test_r20_reports_of_the_same_second_stand_side_by_side(run: Any) -> None:
    run.opened().row(10).closed()
    first = generate_report(run.folder, now=NOW)
    before = first.json.read_bytes()
    second, third = generate_report(run.folder, now=NOW), generate_report(run.folder, now=NOW)
    assert [files.json.stem[-2:] for files in (second, third)] == ["_2", "_3"]
    assert [files.csv.stem[-2:] for files in (second, third)] == ["_2", "_3"]
    assert first.json.read_bytes() == before


def test_r20_a_name_taken_by_only_one_of_the_two_is_taken(run: Any) -> None:
    run.opened().row(10).closed()
    run.folder.reports.mkdir()
    (run.folder.reports / "poc_report_20261123_060708.json").write_text("mine", encoding="utf-8")
    (run.folder.reports / "poc_summary_20261123_060708_2.csv").write_text("mine", encoding="utf-8")
    assert generate_report(run.folder, now=NOW).json.stem.endswith("_3")
    assert len(names(run.folder.reports)) == 4


def test_r20_processes_that_report_at_once_never_share_a_name(run: Any) -> None:
    run.opened().row(10).closed()
    made: list[ReportFiles] = []
    threads = [Thread(target=lambda: made.append(generate_report(run.folder, now=NOW))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({files.json for files in made}) == 8
    assert all(
        files.json.stem.removeprefix("poc_report") == files.csv.stem.removeprefix("poc_summary") for files in made
    )
    assert len(names(run.folder.reports)) == 16


@pytest.mark.parametrize("failing", ["csv", "json"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_when_one_cannot_be_written_the_other_does_not_stay_alone(
    run: Any, monkeypatch: pytest.MonkeyPatch, failing: str, error: BaseException
) -> None:
    run.opened().row(10).closed()
    write_new: Callable[[Path, bytes], None] = writing.write_new

    def fail_for_one(target: Path, content: bytes) -> None:
        if target.suffix == f".{failing}":
            raise error
        write_new(target, content)

    monkeypatch.setattr(writing, "write_new", fail_for_one)
    with pytest.raises(RunFolderError if isinstance(error, OSError) else KeyboardInterrupt):
        generate_report(run.folder, now=NOW)
    assert names(run.folder.reports) == []


def test_a_report_can_stand_elsewhere(run: Any, tmp_path: Path) -> None:
    out = tmp_path / "提出 用" / "x"
    files = generate_report(run.opened().row(10).folder, now=NOW, out=out)
    assert names(out) == [files.json.name, files.csv.name]
    assert not run.folder.reports.exists()


def test_a_file_in_the_place_of_the_folder_is_an_error_that_names_it(run: Any, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("x", encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"taken.*--out"):
        generate_report(run.opened().row(10).folder, now=NOW, out=taken)
    assert taken.read_text(encoding="utf-8") == "x"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is where not even root may make a folder")
def test_a_folder_that_may_not_be_written_is_an_error_that_names_it(run: Any) -> None:
    with pytest.raises(RunFolderError, match="/proc/reports"):
        generate_report(run.opened().row(10).folder, now=NOW, out=Path("/proc/reports"))


@pytest.mark.parametrize("formats", [[], ["docx"], ["json", "docx"]])
def test_unknown_formats_are_refused_before_anything_is_written(run: Any, formats: list[str]) -> None:
    with pytest.raises(UsageError, match="json, csv"):
        generate_report(run.opened().row(10).folder, now=NOW, formats=formats)
    assert not run.folder.reports.exists()


def test_only_what_was_asked_for_is_made(run: Any) -> None:
    files = generate_report(run.opened().row(10).folder, now=NOW, formats=["csv"])
    assert names(run.folder.reports) == [files.csv.name]


def test_every_rendering_has_the_reports_timestamp_and_follows_json_and_csv(run: Any) -> None:
    files = generate_any(run.opened().row(10).closed().folder, now=NOW)
    assert files.failed == {}
    assert sorted(files.written) == ["csv", "html", "json", "pdf"]
    assert names(run.folder.reports) == [
        "poc_report_20261123_060708.html",
        "poc_report_20261123_060708.json",
        "poc_report_20261123_060708.pdf",
        "poc_summary_20261123_060708.csv",
    ]
    assert files.written["html"].read_bytes().startswith(b"<!doctype html>")
    assert files.written["pdf"].read_bytes().startswith(b"%PDF-")


@pytest.mark.parametrize("broken", ["html", "pdf"])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), RunFolderError("no font"), ImportError()])
def test_a_rendering_that_fails_costs_itself_alone_and_leaves_nothing_half_written(
    run: Any, monkeypatch: pytest.MonkeyPatch, broken: str, failure: Exception
) -> None:
    def fails(dossier: Any) -> bytes:
        raise failure

    monkeypatch.setitem(generate._RENDERERS, broken, fails)
    files = generate_any(run.opened().row(10).closed().folder, now=NOW)
    assert list(files.failed) == [broken]
    assert broken in files.failed[broken]
    assert {path.suffix for path in run.folder.reports.iterdir()} == {".json", ".csv", ".html", ".pdf"} - {f".{broken}"}


def test_a_rendering_asked_for_again_stands_beside_the_first(run: Any) -> None:
    run.opened().row(10).closed()
    first = generate_any(run.folder, now=NOW, formats=["html"])
    second = generate_any(run.folder, now=NOW, formats=["html"])
    assert first.written["html"].read_bytes() == second.written["html"].read_bytes()
    assert second.written["html"].name == "poc_report_20261123_060708_2.html"


def test_the_pdf_holds_the_report_without_its_rows_and_says_where_they_are(run: Any, tmp_path: Path) -> None:
    files = generate_any(run.opened().row(10).row(20).closed().folder, now=NOW)
    with pikepdf.open(files.written["pdf"]) as pdf:
        (attached,) = pdf.attachments.values()
        report = strict_json(attached.get_file().read_bytes())
    assert report["metrics"]["history"] == []
    told = report["metrics"]["history_in"]
    journal = run.folder.journal.read_bytes()
    assert (told["rows"], told["shown"]) == (2, 0)
    assert told["journal"]["sha256"] == hashlib.sha256(journal[: told["journal"]["bytes"]]).hexdigest()


def test_a_card_needs_a_folder_of_its_own(run: Any, tmp_path: Path) -> None:
    run.opened().row(10).closed()
    with pytest.raises(UsageError, match="--out"):
        generate_any(run.folder, now=NOW, formats=["card"])
    files = generate_any(run.folder, now=NOW, formats=["card"], out=tmp_path / "card")
    assert files.failed == {}
    assert names(tmp_path / "card") == ["README.md"]
    card = tmp_path / "card" / "README.md"
    written_by_a_person = card.read_text(encoding="utf-8") + "\nI add this.\n"
    card.write_text(written_by_a_person, encoding="utf-8")
    generate_any(run.folder, now=NOW, formats=["card"], out=tmp_path / "card")
    assert card.read_text(encoding="utf-8") == written_by_a_person
