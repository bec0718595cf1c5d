"""`kiseki timestamp`: the two offline steps on the command line; what tokens mean is tested with the evidence."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kiseki.evidence.checkpoint import take_checkpoint
from kiseki.evidence.pack import pack
from kiseki.evidence.timestamp import request
from kiseki.evidence.zip_reading import ZipReader
from kiseki.run_folder import RunFolder

Kiseki = Callable[..., Any]


def test_a_request_over_a_pack_is_over_its_statement(recorded: Path, tmp_path: Path, kiseki: Kiseki) -> None:
    path = pack(RunFolder(recorded), tmp_path / "x.zip").path
    answer = kiseki("timestamp", "request", path, "-o", tmp_path / "x.tsq")
    with ZipReader(path) as reader:
        digest = hashlib.sha256(reader.read("statement.json", 1 << 20)).hexdigest()
    assert answer.code == 0
    assert digest in answer.out
    assert (tmp_path / "x.tsq").read_bytes() == request(digest)


def test_a_request_over_a_run_is_over_its_last_seal_and_never_overwrites(
    recorded: Path, tmp_path: Path, kiseki: Kiseki
) -> None:
    assert kiseki("timestamp", "request", recorded, "-o", tmp_path / "x.tsq").code == 0
    made = (tmp_path / "x.tsq").read_bytes()
    assert made == request(take_checkpoint(RunFolder(recorded)).sha256)
    answer = kiseki("timestamp", "request", recorded, "-o", tmp_path / "x.tsq")
    assert answer.code == 2
    assert "never overwritten" in answer.err


def test_what_is_no_pack_and_what_is_no_token_are_told(recorded: Path, tmp_path: Path, kiseki: Kiseki) -> None:
    (tmp_path / "no.zip").write_bytes(b"no")
    (tmp_path / "no.tsr").write_bytes(b"no")
    answer = kiseki("timestamp", "request", tmp_path / "no.zip", "-o", tmp_path / "x.tsq")
    assert (answer.code, "this is no pack of kiseki" in answer.err) == (2, True)
    path = pack(RunFolder(recorded), tmp_path / "x.zip").path
    answer = kiseki("timestamp", "attach", path, tmp_path / "no.tsr")
    assert (answer.code, "no time-stamp response" in answer.err) == (2, True)


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (request("ab" * 32), "it is a request, which is for the authority to answer"),
        (b"\x30", "it is cut off"),
        (bytes.fromhex("3000"), "built otherwise"),
        (bytes.fromhex("3005300302010030"), "it is cut off"),
        (bytes.fromhex("30053003020100"), "built otherwise"),
        (bytes.fromhex("30053003020102"), "the authority refused (status 2)"),
        (b"<html>", "it does not begin as one"),
    ],
)
def test_what_is_wrong_with_a_response_is_told_in_words(
    recorded: Path, tmp_path: Path, kiseki: Kiseki, response: bytes, why: str
) -> None:
    path = pack(RunFolder(recorded), tmp_path / "x.zip").path
    (tmp_path / "x.tsr").write_bytes(response)
    answer = kiseki("timestamp", "attach", path, tmp_path / "x.tsr")
    assert (answer.code, answer.out) == (2, "")
    assert why in answer.err
    assert "index out of range" not in answer.err
    assert "unpack" not in answer.err
