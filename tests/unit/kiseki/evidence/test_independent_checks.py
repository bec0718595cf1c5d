"""Programs of other people come to the same answer: securesystemslib, and openssl by the commands in VERIFY.md."""

import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kiseki.evidence.keys import KeyFiles
from kiseki.evidence.pack import pack
from kiseki.run_folder import RunFolder

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None or shutil.which("sha256sum") is None, reason="openssl and coreutils are not here"
)


def test_securesystemslib_verifies_the_envelope_and_refuses_a_changed_one(packed: Path, keys: KeyFiles) -> None:
    dsse = pytest.importorskip("securesystemslib.dsse", reason="securesystemslib is not installed")
    signer = pytest.importorskip("securesystemslib.signer")
    exceptions = pytest.importorskip("securesystemslib.exceptions")
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    with zipfile.ZipFile(packed) as archive:
        whole = json.loads(archive.read("statement.dsse.json"))
    public = load_pem_public_key(keys.public.read_bytes())
    theirs = signer.SSlibKey.from_crypto(public, keyid=keys.key_id)
    envelope = dsse.Envelope.from_dict(json.loads(json.dumps(whole)))
    assert list(envelope.verify([theirs], 1)) == [keys.key_id]
    assert json.loads(envelope.payload)["predicateType"] == "urn:kiseki:training-record:v1"
    envelope.payload += b" "
    with pytest.raises(exceptions.VerificationError):
        envelope.verify([theirs], 1)


def _commands(text: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def _run(command: str, folder: Path) -> str:
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout


@pytest.fixture
def unpacked(packed: Path, tmp_path: Path) -> Path:
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


@needs_openssl
@pytest.mark.parametrize("language", ["ja", "en"])
def test_the_commands_in_verify_md_work_as_written(unpacked: Path, keys: KeyFiles, language: str) -> None:
    japanese, _, english = (unpacked / "VERIFY.md").read_text(encoding="utf-8").partition("\n---\n")
    key, signature, listed, files, extra, seal = _commands(japanese if language == "ja" else english)
    assert _run(key, unpacked).split() == [keys.key_id, "-"]
    assert _run(signature, unpacked) == "Signature Verified Successfully\n"
    assert _run(listed, unpacked) == "1\n"
    assert _run(files, unpacked) == "OK\n"
    assert _run(extra, unpacked) == ""
    assert _run(seal, unpacked) == "OK\n"


@needs_openssl
def test_the_commands_of_a_pack_that_nobody_signed_work_as_written(run: RunFolder, tmp_path: Path) -> None:
    with zipfile.ZipFile(pack(run, tmp_path / "unsigned.zip").path) as archive:
        archive.extractall(tmp_path / "unpacked")
    japanese, _, english = (tmp_path / "unpacked" / "VERIFY.md").read_text(encoding="utf-8").partition("\n---\n")
    assert "Nobody signed this pack" in english
    assert _commands(japanese) == _commands(english)
    assert [_run(command, tmp_path / "unpacked") for command in _commands(english)] == ["1\n", "OK\n", "", "OK\n"]


@needs_openssl
def test_the_commands_in_verify_md_find_what_was_changed(unpacked: Path) -> None:
    _, signature, listed, files, extra, seal = _commands(
        (unpacked / "VERIFY.md").read_text(encoding="utf-8").partition("\n---\n")[2]
    )
    (unpacked / "metrics" / "extra.json").write_text("{}", encoding="utf-8")
    (unpacked / "statement.evil").write_text("{}", encoding="utf-8")
    assert sorted(_run(extra, unpacked).split()) == ["metrics/extra.json", "statement.evil"]

    journal = unpacked / "metrics" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"loss":3.0', b'"loss":1.0'))
    assert _run(files, unpacked) == "metrics/journal.jsonl: FAILED\n"
    assert _run(seal, unpacked) == ""

    with (unpacked / "SHA256SUMS").open("a", encoding="utf-8") as sums:
        sums.write(f"{'0' * 64}  x\n")
    assert _run(listed, unpacked) == "0\n"

    with (unpacked / "statement.pae").open("ab") as signed:
        signed.write(b" ")
    assert "Successfully" not in _run(signature, unpacked)


@needs_openssl
def test_the_list_of_weights_is_one_that_sha256sum_checks(tmp_path: Path) -> None:
    import hashlib

    from kiseki import TrainingMetricsRecorder

    (tmp_path / "weights").mkdir()
    names = ["model.safetensors", "a b\\c.bin", "日本語.bin"]
    for name in names:
        (tmp_path / "weights" / name).write_bytes(name.encode())
    digests = {name: {"bytes": 1, "sha256": hashlib.sha256(name.encode()).hexdigest()} for name in names}
    recorder = TrainingMetricsRecorder(tmp_path / "run", companion=False, save_plots=False)
    recorder.mark("weights", role="final", name="m", files=digests)
    recorder.close()
    path = pack(RunFolder(tmp_path / "run"), tmp_path / "x.zip").path
    with zipfile.ZipFile(path) as archive:
        archive.extract("weights/final.sha256", tmp_path)
    checked = subprocess.run(
        ["sha256sum", "-c", "--quiet", str(tmp_path / "weights" / "final.sha256")],
        cwd=tmp_path / "weights",
        check=False,
    )
    assert checked.returncode == 0


@needs_openssl
def test_openssl_makes_keys_that_sign_and_reads_those_that_keygen_made(
    keys: KeyFiles, run: RunFolder, tmp_path: Path, contents: Callable[[Path], dict[str, bytes]]
) -> None:
    from kiseki.evidence.keys import load_private, load_public
    from kiseki.evidence.verify import verify_pack

    shown = subprocess.run(
        ["openssl", "pkey", "-in", str(keys.private), "-pubout"], check=True, capture_output=True
    ).stdout
    assert shown == keys.public.read_bytes()
    theirs = tmp_path / "theirs.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(theirs)], check=True)
    public = subprocess.run(["openssl", "pkey", "-in", str(theirs), "-pubout"], check=True, capture_output=True).stdout
    (tmp_path / "theirs.pub").write_bytes(public)
    made = pack(run, tmp_path / "x.zip", key=load_private(theirs))
    assert contents(made.path)["signer.pub"] == public
    assert verify_pack(made.path, named_key=load_public(tmp_path / "theirs.pub")).exit_code == 0
