"""A9: a bit flips on the disk. It is found, whatever bit it is, and everything before it is kept."""

import random
from pathlib import Path

import pytest

from faults.programs import few_rows
from kiseki import TrainingMetricsRecorder
from kiseki.errors import JournalDamaged, KisekiError
from kiseki.history import read_history
from kiseki.record.reader import JournalReader
from kiseki.run_folder import RunFolder


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Three attempts with rows, notes, an evaluation and seals."""
    root = tmp_path_factory.mktemp("whole")
    for attempt in range(3):
        few_rows(str(root), lambda *_: None, resume_step=8 if attempt else None, first=9 if attempt else 1)
    return RunFolder(root).journal.read_bytes()


def test_a9_a_flipped_bit_is_never_silent_and_what_stands_before_it_is_kept(
    journal: bytes, tmp_path: Path, chance: random.Random, full: bool
) -> None:
    lines = journal.splitlines(keepends=True)
    damaged = torn = 0
    for trial in range(1000 if full else 200):
        # every fourth in the last line, where it looks like what a kill leaves
        bit = chance.randrange((len(journal) - len(lines[-1])) * 8 if trial % 4 == 0 else 0, len(journal) * 8)
        broken = bytearray(journal)
        broken[bit // 8] ^= 1 << bit % 8
        root = tmp_path / str(trial)
        folder = RunFolder(root)
        folder.metrics.mkdir(parents=True)
        folder.journal.write_bytes(broken)
        before = journal[: bit // 8].count(b"\n")

        reader = JournalReader(folder.journal)
        kept = [line for line, _ in reader]
        assert reader.damage or reader.tail_bytes, f"bit {bit} was not noticed"
        assert len(kept) >= before
        for number, line in enumerate(kept[:before]):
            assert lines[number].startswith(b'{"%b":%b,' % (line.kind.encode(), line.payload))
        try:
            shown = read_history(folder)
            assert shown.damage or shown.tail_bytes
        except KisekiError:
            assert before == 0, "only a broken first line leaves nothing to show"

        refusal = ""
        try:
            recorder = TrainingMetricsRecorder(root, resume_step=8, companion=False, save_plots=False)
        except JournalDamaged as error:
            refusal = str(error)
        if refusal:
            damaged += 1
            assert f"line {before + 1} " in refusal
            assert folder.journal.read_bytes() == broken, "evidence was changed"
        else:
            torn += 1
            recorder.close()
            repaired = read_history(folder)
            (note,) = repaired.notes_of("repair")
            kept_bytes = (folder.metrics / note["kept_as"]).read_bytes()
            assert len(kept_bytes) == note["bytes"]
            whole = folder.journal.read_bytes()
            assert whole.startswith(journal[: len(journal) - len(kept_bytes)])
            assert kept_bytes == broken[len(journal) - len(kept_bytes) :]
    print(f"{damaged} found as damage, {torn} as a torn tail")
    assert damaged > 0
