"""Torn tails and damage are told apart, and seals are checked while reading."""

import hashlib
from pathlib import Path

import pytest

from kiseki.errors import JournalDamaged, RunFolderError
from kiseki.history import read_history
from kiseki.record.journal import Journal, Position
from kiseki.record.reader import JournalReader
from kiseki.run_folder import RunFolder
from support import opened, write_journal


def some_run(tmp_path: Path, rows: int = 5) -> RunFolder:
    return write_journal(
        tmp_path, [opened(), *(("row", {"step": step, "loss": 1 / step}) for step in range(1, rows + 1))]
    )


def read(folder: RunFolder) -> JournalReader:
    reader = JournalReader(folder.journal)
    list(reader)
    return reader


def test_cut_at_every_byte_the_whole_lines_are_read_and_the_rest_is_tail(tmp_path: Path) -> None:
    folder = some_run(tmp_path)
    whole = folder.journal.read_bytes()
    for length in range(len(whole) + 1):
        folder.journal.write_bytes(whole[:length])
        reader = read(folder)
        assert reader.damage == []
        assert reader.lines == whole[:length].count(b"\n")
        assert reader.good_bytes == whole.rfind(b"\n", 0, length) + 1
        assert reader.good_bytes + reader.tail_bytes == length
        assert reader.digest.hexdigest() == hashlib.sha256(whole[: reader.good_bytes]).hexdigest()


def test_a_changed_byte_before_the_last_line_is_damage_and_says_where(tmp_path: Path) -> None:
    folder = some_run(tmp_path)
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"0.5", b"0.4")
    folder.journal.write_bytes(b"".join(lines))
    (damage,) = read(folder).damage
    assert damage.line == 3
    assert damage.offset == len(lines[0]) + len(lines[1])
    assert "CRC" in damage.what


def test_a_missing_line_is_damage_although_every_crc_is_right(tmp_path: Path) -> None:
    folder = some_run(tmp_path)
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    folder.journal.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert "sequence number 3 where 2 was due" in read(folder).damage[0].what


def test_a_history_rewritten_with_right_crcs_breaks_the_seal(tmp_path: Path, clock: object) -> None:
    folder = some_run(tmp_path, rows=2)
    reader = read(folder)
    journal = Journal(
        folder.journal, _no_lock(tmp_path), Position(reader.lines, reader.good_bytes, 0, reader.digest), clock
    )
    journal.seal()
    journal.close()
    assert read(folder).sealed_bytes == reader.good_bytes

    seal = folder.journal.read_bytes().splitlines(keepends=True)[-1]
    rewritten = write_journal(
        tmp_path, [opened(), ("row", {"step": 1, "loss": 1.0}), ("row", {"step": 2, "loss": 0.4})]
    )
    with rewritten.journal.open("ab") as out:
        out.write(seal)
    (damage,) = read(rewritten).damage
    assert damage.what == "the seal does not match what stands before it"


def test_a_growing_journal_is_read_to_the_length_it_had(tmp_path: Path) -> None:
    folder = some_run(tmp_path)
    length = len(folder.journal.read_bytes().splitlines(keepends=True)[0])
    reader = JournalReader(folder.journal, limit=length + 10)
    assert len(list(reader)) == 1
    assert reader.tail_bytes == 10


def test_no_journal_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="there is no journal here; name the output folder"):
        list(JournalReader(tmp_path / "journal.jsonl"))


def _no_lock(tmp_path: Path) -> object:
    from kiseki.filesystem import FileLock

    return FileLock(tmp_path / "x.lock")


@pytest.mark.parametrize("row", [{"stage": 1}, {"step": 2**70}, {"step": "1"}])
def test_a_whole_line_that_is_no_row_is_named_instead_of_raising_something_foreign(
    tmp_path: Path, row: dict[str, object]
) -> None:
    folder = write_journal(tmp_path, [opened(), ("row", row)])
    with pytest.raises(JournalDamaged, match="line 2 is whole but is no `row` line"):
        read_history(folder)
