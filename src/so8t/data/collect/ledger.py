"""The evidence: one append-only, sealed file that says what became of every address, and why.

The lines are those of kiseki's journal (docs/format.md), written by its writer, repaired by its rules: a line that was
written survives the process, what is sealed cannot be changed unnoticed, a torn last line is set aside at the next
opening. Kinds: `open` (who collects, from which registry), `robots` and `terms` (what a site said), `decision` (what
became of an address), `stop` (a host is not asked again), `seal`, `close`.

No line holds text of a page. Where a line cannot be written the collection ends: nothing is fetched without evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from kiseki.errors import RunFolderError
from kiseki.filesystem import FileLock
from kiseki.record.clock import Clock, TimestampWriter
from kiseki.record.journal import Journal, Position
from kiseki.record.line import CLOSE, NOTE, OPEN
from kiseki.record.opening import has_record, recover
from kiseki.record.reader import JournalReader
from kiseki.run_folder import RunFolder
from so8t.data.collect.decisions import MAY_PASS, Decision, Reason
from so8t.data.collect.scope import same_page
from so8t.errors import So8tError

FORMAT = 1
ROBOTS, TERMS, DECISION, STOP = "robots", "terms", "decision", "stop"
_SEAL_NANOSECONDS = 1_000_000_000


class CannotWrite(So8tError):
    """Evidence or a page could not be written; what was written before stands."""

    exit_code = 1


class Stop(msgspec.Struct, frozen=True):
    """A host that is not asked again.

    Attributes:
        timestamp: UTC.
        host: its name.
        reason: why.
        url: the address whose answer was the reason.
    """

    timestamp: str
    host: str
    reason: Reason
    url: str


class LedgerFolder(RunFolder):
    """Where the ledger of a collection stands; the rest of the paths are a run's and not used."""

    @property
    def journal(self) -> Path:
        """The ledger."""
        return self.root / "ledger.jsonl"


@dataclass
class Content:
    """What a ledger says.

    Attributes:
        sources: every source that a run was given, by its id, as the last of these runs had it; those of the last run
            come first.
        decisions: the latest decision on every page, by `same_page` of its address.
        stops: by host, the last.
        terms: the last `terms` line of every source that was not refused for them, by its id.
        lines: how many lines.
        bytes: length up to the last good line.
        sha256: digest of these bytes.
        damage: what is wrong with it, in words; empty when all is well.
    """

    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    stops: dict[str, Stop] = field(default_factory=dict)
    terms: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: int = 0
    bytes: int = 0
    sha256: str = ""
    damage: tuple[str, ...] = ()


def read_ledger(folder: Path) -> Content:
    """Read the ledger of a collection.

    Args:
        folder: the collection's folder.

    Raises:
        RunFolderError: there is none, or it cannot be read.
    """
    content = Content()
    reader = JournalReader(LedgerFolder(folder).journal)
    for (kind, payload, _), _ in reader:
        if kind == DECISION:
            decision = msgspec.json.decode(payload, type=Decision)
            content.decisions[same_page(decision.url)] = decision
        elif kind == STOP:
            stop = msgspec.json.decode(payload, type=Stop)
            content.stops[stop.host] = stop
        elif kind == TERMS:
            terms = msgspec.json.decode(payload, type=dict[str, Any])
            if terms.get("refused") is None:
                content.terms[terms["source"]] = terms
        elif kind == OPEN:
            given = {source["id"]: source for source in msgspec.json.decode(payload).get("sources", [])}
            content.sources = given | {name: source for name, source in content.sources.items() if name not in given}
    content.lines, content.bytes, content.sha256 = reader.lines, reader.good_bytes, reader.digest.hexdigest()
    content.damage = tuple(f"line {damage.line}: {damage.what}" for damage in reader.damage)
    return content


def is_final(decision: Decision) -> bool:
    """Whether a decision stands for good, so that another run need not ask again."""
    return decision.reason not in MAY_PASS and decision.detail != Reason.UNRESPONSIVE


class Ledger:
    """Appends evidence.

    Args:
        folder: the collection's folder; made when missing.
        clock: for timestamps and the rhythm of seals.
        opened: what the `open` line says beside format and time.

    Attributes:
        earlier: what the ledger said before.

    Raises:
        RunFolderError: the folder cannot be written, or another process writes it.
        JournalDamaged: the ledger is not what was written; nothing was changed.
        CannotWrite: the first line could not be written.
    """

    def __init__(self, folder: Path, clock: Clock, opened: Mapping[str, Any]) -> None:
        self._clock = clock
        self._timestamp = TimestampWriter()
        self._path = LedgerFolder(folder).journal
        lock = _locked(LedgerFolder(folder))
        try:
            repair = self._open(folder, lock)
        except OSError as error:
            lock.release()
            raise RunFolderError(f"{self._path} cannot be opened: {error.strerror}; choose another --out") from error
        except BaseException:
            lock.release()
            raise
        self._sealed_at = clock.monotonic_nanoseconds()
        try:
            self.write(OPEN, {"format": FORMAT, "timestamp": self.now(), **opened})
            if repair is not None:
                self.write(NOTE, {**repair, "timestamp": self.now()})
        except CannotWrite:
            self._journal.close()
            raise

    def _open(self, folder: Path, lock: FileLock) -> dict[str, Any] | None:
        """Open for appending; says what was repaired."""
        ledger, position, repair = LedgerFolder(folder), Position(), None
        self.earlier = Content()
        if has_record(ledger):
            found = recover(ledger)
            position = found.position
            self.earlier = read_ledger(folder)
            if found.kept_as is not None:
                repair = {"kind": "repair", "bytes": found.torn_bytes, "kept_as": found.kept_as}
        self._journal = Journal(self._path, lock, position, self._clock)
        return repair

    def now(self) -> str:
        """The time, as lines state it."""
        return self._timestamp(self._clock.wall_nanoseconds())

    def write(self, kind: str, content: msgspec.Struct | Mapping[str, Any]) -> None:
        """Append one line; seal at most once a second.

        Raises:
            CannotWrite: the line is not wholly in the file.
        """
        if not self._journal.append(kind, msgspec.json.encode(content)):
            why = self._journal.failing or "it is closed"
            raise CannotWrite(
                f"{self._path} cannot be written: {why}; what stands there is intact. Free the disk, then run the same "
                f"command again: it goes on where it stopped"
            )
        now = self._clock.monotonic_nanoseconds()
        if now - self._sealed_at >= _SEAL_NANOSECONDS:
            self._sealed_at = now
            self._journal.seal()
            self._journal.sync()

    def close(self, content: Mapping[str, Any]) -> None:
        """Write the last line, seal, and give the file back; harmless where nothing can be written any more."""
        if not self._journal.failing:
            self._journal.append(CLOSE, msgspec.json.encode({"timestamp": self.now(), **content}))
            self._journal.seal()
            self._journal.sync()
        self._journal.close()


def _locked(folder: LedgerFolder) -> FileLock:
    try:
        folder.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.journal_lock)
        if lock.acquire():
            return lock
    except OSError as error:
        raise RunFolderError(f"{folder.root} cannot be written: {error.strerror}; choose another --out") from error
    raise RunFolderError(f"{folder.root}: another process collects into this folder now; choose another --out")
