"""Every format version that was ever written must be read for ever; format 1's sample and its page agree."""

import json
from pathlib import Path

from kiseki.history import read_history
from kiseki.record.line import parse
from kiseki.run_folder import RunFolder

HERE = Path(__file__).parent
SAMPLE = RunFolder(HERE / "format-1")


def test_the_page_shows_the_sample_byte_for_byte() -> None:
    page = (HERE.parents[1] / "docs" / "format.md").read_text(encoding="utf-8")
    shown = page.partition("```jsonl\n")[2].partition("```")[0]
    assert shown.encode() == SAMPLE.journal.read_bytes()


def test_the_sample_reads_as_it_was_recorded() -> None:
    history = read_history(SAMPLE)
    assert history.damage == ()
    assert history.tail_bytes == 0
    assert history.run_id == "20251123-050000-1f3a9c2e"
    assert history.status == "completed"
    assert list(history.rows.steps) == [10, 20]
    assert history.rows.columns["loss"].value[0] == 2.31
    assert history.rows.columns["loss"].value[1] != history.rows.columns["loss"].value[1]
    assert [row["eval_loss"] for row in history.evaluations.decoded()] == [2.05]
    assert history.notes_of("phase") == [
        {
            "kind": "phase",
            "timestamp": "2025-11-23T05:00:12.250000Z",
            "name": "transition",
            "step": 24,
            "attempt": 1,
        }
    ]


def test_the_seal_named_on_the_page_is_the_prefix_digest() -> None:
    import hashlib

    raw = SAMPLE.journal.read_bytes()
    line = parse(raw.splitlines()[6])
    assert line is not None
    assert json.loads(line.payload) == {"bytes": 1360, "sha256": hashlib.sha256(raw[:1360]).hexdigest()}
