"""Checks views and summaries by making them again from the journal, byte for byte."""

import csv
import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path

from kiseki.errors import KisekiError
from kiseki.evidence.findings import Finding, Said
from kiseki.evidence.journal_facts import JournalFacts
from kiseki.evidence.rebuild import Rebuilt, place_journal, read_again, rebuild_views
from kiseki.evidence.source import Source
from kiseki.report.dossier import Dossier
from kiseki.report.to_csv import to_csv, to_earlier_csv
from kiseki.run_folder import RunFolder

_BLOCK = 1 << 20
_UNREADABLE = (KisekiError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What comes of reading a journal that a stranger wrote: its lines may hold anything where text or a number is due."""


def check_rebuild(
    scratch: RunFolder, facts: JournalFacts, source: Source, summaries: Mapping[str, int], *, may_be_older: bool
) -> Iterator[Finding]:
    """Whether JSON, CSV and summaries are what this journal gives.

    Args:
        scratch: a folder with the journal; what is made again is written there and removed.
        facts: of the journal.
        source: the files to check.
        summaries: for every summary the length of the piece of the journal that it was made from.
        may_be_older: the run is not closed, so its views may lag behind the journal.
    """
    try:
        dossier = read_again(scratch)
        for view in rebuild_views(dossier.history):
            yield _check_view(view, source, may_be_older=may_be_older)
        made = {facts.counting_end: _summaries(dossier)}
        for name, journal_bytes in summaries.items():
            # What comes after the last row, evaluation and opening changes no statistic.
            upto = min(journal_bytes, facts.counting_end)
            if upto not in made:
                made[upto] = _summaries_so_far(scratch, upto)
            yield _check_summary(name, made[upto], source)
    except _UNREADABLE as error:
        yield _cannot(facts, error)


def _cannot(facts: JournalFacts, error: Exception) -> Finding:
    why = str(error).rpartition(": ")[2] or type(error).__name__
    said = Said(
        f"記録が読み取れないため再生成できません（{why}）",
        f"the journal cannot be read, so nothing can be made from it: {why}",
    )
    return Finding("rebuild", "failed", said, line=facts.unreadable[0][0] if facts.unreadable else 0)


def _check_view(view: Rebuilt, source: Source, *, may_be_older: bool) -> Finding:
    found = source.digest(view.name)
    try:
        if found is None:
            return Finding("rebuild", "remark" if may_be_older else "failed", _MISSING, view.name)
        if found == view.sha256:
            return Finding(
                "rebuild", "ok", Said(f"一致（{view.bytes} バイト）", f"the same {view.bytes} bytes"), view.name
            )
        found_lines, due_lines = _lines(source.blocks(view.name)), _lines(_first(view.path, view.bytes))
        if may_be_older and view.path.suffix == ".csv":
            found_lines = _widened(found_lines, next(_lines(_first(view.path, view.bytes))))
        line, older = _compare(found_lines, due_lines)
        if may_be_older and (older or not line):
            said = Said(
                "記録より古い時点の内容です（そこまでは一致）", "older than the journal, and right as far as it goes"
            )
            return Finding("rebuild", "remark", said, view.name, line)
        return Finding("rebuild", "failed", _DIFFERS, view.name, line)
    finally:
        view.path.unlink()


_MISSING = Said("ファイルがありません（またはリンクです）", "the file is missing, or is a link")
_EARLIER_MEANING = Said(
    "一致（以前の版の形式。final は最後の有限値、last_recorded が最後に記録された値）",
    "the same, as earlier versions made it: final is the last finite value, last_recorded the last recorded one",
)
_DIFFERS = Said(
    "記録から再生成した内容と一致しません（更新前なら `kiseki report` で作り直せます）",
    "not what the journal gives (if it was only left behind: `kiseki report` makes it again)",
)


def _compare(found: Iterator[bytes], due: Iterator[bytes]) -> tuple[int, bool]:
    """The first line that differs, from 1 (0 for none), and whether what was found ends there as an older view does."""
    number = 0
    for number, line in enumerate(due, start=1):
        one = next(found, None)
        if one != line:
            rest = [] if one is None else [one, *islice(found, 2)]
            ended = rest in ([], [b"]"]) or (rest == [b"[]"] and number == 1)
            return number, ended or (rest[1:] == [b"]"] and rest[0] + b"," == line)
    return (number + 1 if next(found, None) is not None else 0), False


def _widened(found: Iterator[bytes], due_header: bytes) -> Iterator[bytes]:
    """An older CSV with the columns that came later, which were empty then."""
    header = next(found, b"")
    if not due_header.startswith(header + b","):
        yield from chain([header], found)
        return
    later = b"," * (_columns(due_header) - _columns(header))
    yield due_header
    yield from (line + later for line in found)


def _columns(header: bytes) -> int:
    return len(next(csv.reader([header.decode("utf-8", "replace")])))


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _summaries(dossier: Dossier) -> tuple[bytes, bytes]:
    """The summary as it is made now, and as it was made before."""
    return to_csv(dossier), to_earlier_csv(dossier)


def _check_summary(name: str, made: tuple[bytes, bytes], source: Source) -> Finding:
    due, earlier = made
    found = source.digest(name)
    if found is None:
        return Finding("rebuild", "failed", _MISSING, name)
    if found == hashlib.sha256(due).hexdigest():
        return Finding("rebuild", "ok", Said(f"一致（{len(due)} バイト）", f"the same {len(due)} bytes"), name)
    if found == hashlib.sha256(earlier).hexdigest():
        return Finding("rebuild", "remark", _EARLIER_MEANING, name)
    line, _ = _compare(_lines(source.blocks(name)), _lines([due]))
    return Finding(
        "rebuild", "failed", Said("記録から再生成した内容と一致しません", "not what the journal gives"), name, line
    )


def _summaries_so_far(scratch: RunFolder, journal_bytes: int) -> tuple[bytes, bytes]:
    earlier = scratch.root / "earlier"
    try:
        return _summaries(read_again(place_journal(_first(scratch.journal, journal_bytes), earlier)))
    finally:
        shutil.rmtree(earlier, ignore_errors=True)


def _first(path: Path, length: int) -> Iterator[bytes]:
    with path.open("rb") as content:
        while length and (block := content.read(min(length, _BLOCK))):
            length -= len(block)
            yield block
