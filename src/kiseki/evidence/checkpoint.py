"""One short line that leaves the machine while training goes on, so that history can only grow after it.

`kiseki1 RUN_ID BYTES SHA256`: the length and the SHA-256 of the journal up to its last seal. Whoever has the line and,
later, the journal needs nothing of kiseki: `head -c BYTES journal.jsonl | sha256sum`.
"""

import re
from typing import NamedTuple

from kiseki.errors import JournalDamaged, RunFolderError, UsageError
from kiseki.evidence.journal_facts import JournalFacts, read_facts
from kiseki.filesystem import FileLock
from kiseki.history import is_recorded
from kiseki.record.clock import SystemClock
from kiseki.record.journal import Journal, Position
from kiseki.record.reader import JournalReader
from kiseki.run_folder import RunFolder

_LINE = re.compile(r"kiseki1[ \t]+(?P<run>\S{1,200})[ \t]+(?P<bytes>\d{1,18})[ \t]+(?P<sha256>[0-9a-fA-F]{64})")


class Checkpoint(NamedTuple):
    """A journal's state at one moment.

    Example:
        >>> line = "kiseki1 20261123-050000-0a1b2c3d 1843 " + "0" * 64
        >>> parse_checkpoint(f"> {line} (sent on Monday)").line == line
        True
    """

    run_id: str
    bytes: int
    sha256: str

    @property
    def line(self) -> str:
        """The line to mail."""
        return f"kiseki1 {self.run_id} {self.bytes} {self.sha256}"


def parse_checkpoint(text: str) -> Checkpoint:
    """Find the checkpoint in a line, whatever a mail program put around it.

    Raises:
        UsageError: there is none.
    """
    found = _LINE.search(text)
    if found is None:
        raise UsageError(
            f"--since: expected a line of `kiseki checkpoint`, kiseki1 RUN_ID BYTES SHA256; found {text[:120]!r}"
        )
    return Checkpoint(found["run"], int(found["bytes"]), found["sha256"].lower())


def take_checkpoint(folder: RunFolder) -> Checkpoint:
    """Seal what is not sealed yet, and say what the last seal covers.

    A run that is being recorded seals itself, at most a second after a row; its last seal is taken. Where nothing can
    be written, or a half-written line stands at the end, the whole lines are taken without a seal: the digest counts,
    not the line in the file.

    Raises:
        JournalDamaged: the record is not what was written.
        RunFolderError: there is no journal, no whole line in it, or no seal yet in a run that is being recorded.
    """
    facts = read_facts(folder.journal)
    if facts.damage or not facts.opened:
        where = f"line {facts.damage[0].line}: {facts.damage[0].what}" if facts.damage else "there is no `open` line"
        raise JournalDamaged(f"{folder.journal}: {where}; check it with `kiseki verify {folder.root}`")
    if not facts.ends_sealed:
        if _seal(folder):
            facts = read_facts(folder.journal)
        elif is_recorded(folder):
            return _last_seal(folder, facts)
        else:
            return Checkpoint(facts.run_id, facts.good_bytes, facts.sha256)
    return _last_seal(folder, facts)


def _last_seal(folder: RunFolder, facts: JournalFacts) -> Checkpoint:
    if facts.seal_sha256 is None:
        raise RunFolderError(f"{folder.journal}: this run is being recorded and has no seal yet; try again in a second")
    return Checkpoint(facts.run_id, facts.sealed_bytes, facts.seal_sha256)


def _seal(folder: RunFolder) -> bool:
    """Append a seal to a record that nobody writes; False where that cannot be done."""
    lock = FileLock(folder.journal_lock)
    try:
        if not lock.acquire():
            return False
        reader = JournalReader(folder.journal)
        for _ in reader:
            pass
        if reader.damage or reader.tail_bytes:
            lock.release()
            return False
        position = Position(reader.lines, reader.good_bytes, 0, reader.digest)
        journal = Journal(folder.journal, lock, position, SystemClock())
    except OSError:
        lock.release()
        return False
    journal.seal()
    sealed = not journal.failing
    journal.sync()
    journal.close()
    return sealed
