"""`kiseki pack` on the command line: what it prints, and every reason to refuse."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kiseki.cli.progress import Progress
from kiseki.evidence.keys import KeyFiles, generate

Kiseki = Callable[..., Any]


@pytest.fixture
def keys(tmp_path: Path) -> KeyFiles:
    return generate(tmp_path / "keys")


def test_it_says_what_it_made_and_whose_key_signed(
    recorded: Path, tmp_path: Path, kiseki: Kiseki, keys: KeyFiles
) -> None:
    answer = kiseki("pack", recorded, "--sign", keys.private, "-o", tmp_path / "x.zip")
    assert answer.code == 0
    assert "x.zip (" in answer.out
    assert keys.key_id in answer.out
    assert (tmp_path / "x.zip").is_file()


def test_without_a_key_it_says_that_nobody_has_signed(recorded: Path, tmp_path: Path, kiseki: Kiseki) -> None:
    answer = kiseki("pack", recorded, "-o", tmp_path / "x.zip")
    assert answer.code == 0
    assert "署名はありません" in answer.out
    assert "Nobody has signed it" in answer.out


def test_a_public_pack_says_what_was_taken_out_and_what_opens_it(
    recorded: Path, tmp_path: Path, kiseki: Kiseki
) -> None:
    answer = kiseki("pack", recorded, "-o", tmp_path / "x.zip", "--confidentiality", "public")
    assert answer.code == 0
    assert "metrics/environment.json: " in answer.out
    assert "x.zip.salts.json" in answer.out


def test_a_run_that_is_not_intact_is_shown_and_not_packed(recorded: Path, tmp_path: Path, kiseki: Kiseki) -> None:
    journal = recorded / "metrics" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"loss":3.0', b'"loss":2.0'))
    answer = kiseki("pack", recorded, "-o", tmp_path / "x.zip")
    assert (answer.code, answer.out) == (1, "")
    assert "No: not intact" in answer.err
    assert "metrics/journal.jsonl:3" in answer.err
    assert "no pack is made of it" in answer.err
    assert not (tmp_path / "x.zip").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--sign", "nowhere"), "the key cannot be read"),
        (("--sign", "{keys}.pub"), "no unencrypted private key"),
        (("--confidentiality", "secret"), "'partner', 'public'"),
        ((), "never overwritten"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    recorded: Path, tmp_path: Path, kiseki: Kiseki, keys: KeyFiles, words: tuple[str, ...], told: str
) -> None:
    out = tmp_path / "x.zip"
    if not words:
        out.write_bytes(b"mine")
    answer = kiseki("pack", recorded, "-o", out, *(word.format(keys=keys.private) for word in words))
    assert answer.code == 2
    assert told in answer.err
    assert answer.err.count("\n") == 1
    assert not out.exists() or out.read_bytes() == b"mine"


def test_progress_is_silent_at_first_and_then_says_how_far(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr("kiseki.cli.progress.time.monotonic", lambda: now[0])
    progress = Progress("packing")
    for moment, done in ((101.0, 10), (102.5, 50), (103.0, 60), (104.0, 90)):
        now[0] = moment
        progress(done, 100)
    assert capsys.readouterr().err == "packing 50 %\npacking 90 %\n"
