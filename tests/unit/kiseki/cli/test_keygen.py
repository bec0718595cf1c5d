"""`kiseki keygen` makes a key pair once, for its owner alone, and never where it would be handed over."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kiseki.evidence.keys import key_id, load_private, load_public

Kiseki = Callable[..., Any]


def test_it_writes_both_files_and_prints_the_key_id(tmp_path: Path, kiseki: Kiseki) -> None:
    answer = kiseki("keygen", "--out", tmp_path / "keys")
    private, public = tmp_path / "keys" / "kiseki_ed25519", tmp_path / "keys" / "kiseki_ed25519.pub"
    assert (answer.code, answer.err) == (0, "")
    assert key_id(load_private(private).public_key()) == key_id(load_public(public))
    assert key_id(load_public(public)) in answer.out
    assert private.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")
def test_nobody_else_can_read_the_private_key_whatever_the_umask(tmp_path: Path) -> None:
    code = (
        "import os, sys; os.umask(0); from pathlib import Path; from kiseki.evidence.keys import generate;"
        "generate(Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert (tmp_path / "kiseki_ed25519").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["kiseki_ed25519", "kiseki_ed25519.pub"])
def test_it_never_overwrites_and_then_writes_neither(tmp_path: Path, kiseki: Kiseki, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")
    answer = kiseki("keygen", "--out", tmp_path)
    assert answer.code == 2
    assert "never overwritten" in answer.err
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(name, b"mine")]


def test_the_current_folder_is_where_it_writes_by_default(
    tmp_path: Path, kiseki: Kiseki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert kiseki("keygen").code == 0
    assert (tmp_path / "kiseki_ed25519.pub").is_file()


@pytest.mark.parametrize("inside", [".", "metrics", "somewhere/deep"])
def test_it_refuses_to_write_inside_a_run_folder(recorded: Path, kiseki: Kiseki, inside: str) -> None:
    answer = kiseki("keygen", "--out", recorded / inside)
    assert answer.code == 2
    assert "inside the run folder" in answer.err
    assert not list(recorded.rglob("kiseki_ed25519*"))


def test_a_public_key_that_cannot_be_written_takes_the_private_one_with_it(
    tmp_path: Path, kiseki: Kiseki, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(target: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr("kiseki.evidence.keys.write_new", full)
    assert kiseki("keygen", "--out", tmp_path).code == 2
    assert list(tmp_path.iterdir()) == []
