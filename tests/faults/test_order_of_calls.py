"""What makes files durable is an order of calls; here the order itself is looked at, call by call.

Power cannot be cut at every point (A5 does it at random ones); a file that was renamed into place before it was synced
would be found there once in fifty times, and here always.
"""

import errno
import re
from pathlib import Path

import pytest

from faults.harness import COUNT, FAIL, SHORT, Fault, Server, check_what_is_left, resume_and_check


@pytest.fixture
def calls(server: Server, tmp_path: Path) -> list[tuple[str, str]]:
    """Name and path of each call on the run folder in a run of twelve rows."""
    log = tmp_path / "log"
    told = server.run("few_rows_in_no_time", tmp_path / "run", Fault(COUNT, log=str(log)))
    assert told.status == 0
    return [(name, path) for name, _, path in (line.partition(" ") for line in log.read_text().splitlines())]


VIEWS = ("training_metrics.json", "training_metrics.csv", "evaluation_metrics.json", "evaluation_metrics.csv")


def test_every_file_is_synced_before_it_is_renamed_into_place_and_its_folder_afterwards(
    calls: list[tuple[str, str]],
) -> None:
    renamed = [number for number, (name, _) in enumerate(calls) if name == "rename"]
    placed = {re.sub(r"\.[0-9a-f]{8}\.tmp$", "", calls[number][1]) for number in renamed}
    assert placed == {f"/metrics/.{name}" for name in (*VIEWS, "config.json", "environment.json")}
    for number in renamed:
        temporary = calls[number][1]
        before = [name for name, path in calls[:number] if path == temporary]
        assert before[-2:] == ["fsync", "close"], f"{temporary}: {before}"
        assert calls.index(("fsync", "/metrics"), number) <= number + 4, f"{temporary}: the folder is not synced"


def test_a_view_is_renamed_into_place_only_when_the_rows_it_shows_are_durable(calls: list[tuple[str, str]]) -> None:
    journal = "/metrics/journal.jsonl"
    for number, (name, path) in enumerate(calls):
        if name == "rename" and path.startswith("/metrics/.training"):
            done = [
                name for name, path in calls[:number] if path == journal and name in ("write", "fdatasync", "fsync")
            ]
            assert done[-1] != "write", "after a power cut the view would show more than the journal"


def test_nothing_but_the_one_that_appends_writes_to_the_journal_and_nothing_cuts_it(
    calls: list[tuple[str, str]],
) -> None:
    assert [path for name, path in calls if name == "ftruncate" and not path.endswith(".tmp")] == []
    written = [path for name, path in calls if name == "write" and not path.endswith(".tmp")]
    assert set(written) == {"/metrics/journal.jsonl"}
    rows_and_more = 12 + len(["open", "seal", "seal", "close", "seal"])
    assert len(written) == rows_and_more, "one write a line"


def test_flush_is_a_sync_after_the_last_row(calls: list[tuple[str, str]]) -> None:
    journal = [name for name, path in calls if path == "/metrics/journal.jsonl" and name in ("write", "fdatasync")]
    opening = ["write", "write", "fdatasync"]  # the open line and its seal
    assert journal[: 3 + 8] == [*opening, *["write"] * 6, "write", "fdatasync"], "six rows, their seal, one sync"


@pytest.mark.parametrize("mode", [SHORT, FAIL], ids=["cut in half", "refused"])
@pytest.mark.parametrize("row", [1, 12])
def test_a4_a_row_that_a_full_disk_does_not_take_is_told_and_counted_and_nothing_is_raised(
    server: Server, tmp_path: Path, calls: list[tuple[str, str]], row: int, mode: int
) -> None:
    writes = [number for number, call in enumerate(calls, 1) if call == ("write", "/metrics/journal.jsonl")]
    at = writes[1 + row if row < 6 else 2 + row]
    told = server.run("few_rows_in_no_time", tmp_path / "cut", Fault(mode, at=at, error=errno.ENOSPC))
    assert told.acknowledged == list(range(1, row))
    steps = check_what_is_left(tmp_path / "cut", told)
    assert steps == list(range(1, row))
    ((dropped, errors),) = told.of("closed")
    assert dropped == 12 - len(steps)
    assert errors > 0
    resume_and_check(tmp_path / "cut", steps)


def test_an_error_at_closing_is_counted_and_not_raised(
    server: Server, tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    """Network file systems tell at close(2) what they could not write."""
    last = max(number for number, call in enumerate(calls, 1) if call == ("close", "/metrics/journal.jsonl"))
    told = server.run("few_rows_in_no_time", tmp_path / "closing", Fault(FAIL, at=last, error=errno.EIO))
    assert told.of("raised") == []
    ((dropped, errors),) = told.of("closed")
    assert (dropped, errors) == (0, 1)
