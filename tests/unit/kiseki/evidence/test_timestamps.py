"""RFC 3161 in two offline steps, against an authority that openssl plays."""

import contextlib
import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from kiseki.errors import UsageError
from kiseki.evidence.pack import pack
from kiseki.evidence.stamping import attach, digest_to_stamp
from kiseki.evidence.timestamp import NotAToken, read_response, request
from kiseki.evidence.verify import verify_pack
from kiseki.run_folder import RunFolder

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")

_CONFIG = """
[tsa]
default_tsa = here
[here]
serial = serial
signer_cert = tsa.pem
certs = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = test authority
[extensions]
extendedKeyUsage = critical,timeStamping
"""

Answer = Callable[[bytes], bytes]


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority")
    (folder / "tsa.cnf").write_text(_CONFIG, encoding="utf-8")
    (folder / "serial").write_text("01\n", encoding="utf-8")
    _openssl(
        folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key", "-out", "tsa.pem",
        "-days", "3650", "-config", "tsa.cnf",
    )  # fmt: skip
    return folder


def _answer(authority: Path, query: bytes) -> bytes:
    (authority / "q.tsq").write_bytes(query)
    _openssl(authority, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "q.tsq", "-out", "a.tsr")
    return (authority / "a.tsr").read_bytes()


@given(st.binary(max_size=100))
def test_the_request_is_the_one_that_openssl_makes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("query")
    (folder / "data").write_bytes(data)
    _openssl(folder, "ts", "-query", "-data", "data", "-sha256", "-cert", "-no_nonce", "-out", "q.tsq")
    assert (folder / "q.tsq").read_bytes() == request(hashlib.sha256(data).hexdigest())


def test_a_token_over_the_statement_is_kept_shown_and_checked_by_openssl(
    packed: Path, key: Ed25519PrivateKey, authority: Path, tmp_path: Path, contents: Callable[[Path], dict[str, bytes]]
) -> None:
    before = contents(packed)
    response = tmp_path / "x.tsr"
    response.write_bytes(_answer(authority, request(digest_to_stamp(packed))))
    token, over = attach(packed, response)
    assert over == "statement.dsse.json"
    attach(packed, response)  # again: it is there already
    files = contents(packed)
    (name,) = set(files) - set(before)
    assert {one: raw for one, raw in files.items() if one != name} == before
    answer = verify_pack(packed, named_key=key.public_key())
    assert answer.exit_code == 0
    (shown,) = [one for one in answer.findings if one.check == "time stamp"]
    assert (shown.state, shown.file) == ("remark", name)
    assert token.moment in shown.said.en
    (authority / "statement.dsse.json").write_bytes(files["statement.dsse.json"])
    (authority / "kept.tsr").write_bytes(files[name])
    _openssl(authority, "ts", "-verify", "-data", "statement.dsse.json", "-in", "kept.tsr", "-CAfile", "tsa.pem")


def test_a_token_over_a_running_journal_is_kept_in_the_pack_made_later(
    run: RunFolder, authority: Path, tmp_path: Path
) -> None:
    response = tmp_path / "x.tsr"
    response.write_bytes(_answer(authority, request(digest_to_stamp(run.root))))
    path = pack(run, tmp_path / "x.zip").path
    _, over = attach(path, response)
    assert over.startswith("metrics/journal.jsonl (head -c ")
    assert verify_pack(path).exit_code == 0


def test_a_token_over_something_else_is_refused_at_both_ends(
    packed: Path,
    authority: Path,
    tmp_path: Path,
    contents: Callable[[Path], dict[str, bytes]],
    rezip: Callable[..., Path],
) -> None:
    response = tmp_path / "x.tsr"
    response.write_bytes(_answer(authority, request("ab" * 32)))
    before = packed.read_bytes()
    with pytest.raises(UsageError, match="neither this pack's statement nor a seal"):
        attach(packed, response)
    assert packed.read_bytes() == before
    raw = response.read_bytes()
    name = f"timestamps/{hashlib.sha256(raw).hexdigest()[:16]}.tsr"
    rezip(packed, {**contents(packed), name: raw})
    answer = verify_pack(packed)
    assert [(one.check, one.file) for one in answer.findings if one.state == "failed"] == [("time stamp", name)]


@given(st.data())
def test_any_change_of_a_token_is_read_or_refused_but_never_breaks_the_reader(
    authority: Path, data: st.DataObject
) -> None:
    raw = bytearray(_sample(authority))
    cut = data.draw(st.integers(0, len(raw)))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(0, 255))
    with contextlib.suppress(NotAToken):
        read_response(bytes(raw[: max(cut, 1)]))


def _sample(authority: Path) -> bytes:
    sample = authority / "sample.tsr"
    if not sample.exists():
        sample.write_bytes(_answer(authority, request("cd" * 32)))
    return sample.read_bytes()


def test_a_refusal_of_the_authority_is_told(tmp_path: Path, packed: Path) -> None:
    (tmp_path / "x.tsr").write_bytes(bytes.fromhex("3005300302010230"[:14]))
    with pytest.raises(UsageError, match="no time-stamp response"):
        attach(packed, tmp_path / "x.tsr")
