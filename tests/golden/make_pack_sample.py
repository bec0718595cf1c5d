"""Makes the signed pack of format 1 that must verify for ever: `python tests/golden/make_pack_sample.py`.

The record is that of `format-1`, with the side file its `open` line cannot have (it was made up), so it is withheld;
weights and a second attempt are added. The key is derived from a public text: it proves nothing, and is for this alone.
A sample that was ever released is never made again; a new format gets a new sample beside it.
"""

import hashlib
import json
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kiseki.companion.views import refresh_views
from kiseki.evidence.checkpoint import take_checkpoint
from kiseki.evidence.keys import public_pem
from kiseki.evidence.pack import pack
from kiseki.provenance.redaction import Redactor
from kiseki.record.line import CLOSE, NOTE, OPEN, ROW, SEAL, frame
from kiseki.report.generate import generate_report
from kiseki.run_folder import RunFolder

HERE = Path(__file__).parent
TARGET = HERE / "pack-format-1"


def main() -> None:
    """Make the sample; refuses to replace one."""
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"kiseki golden sample, pack format 1").digest())
    TARGET.mkdir()
    with tempfile.TemporaryDirectory() as root:
        folder = RunFolder(Path(root) / "run")
        shutil.copytree(HERE / "format-1", folder.root)
        checkpoint = take_checkpoint(folder)
        _second_attempt(folder)
        refresh_views(folder, plots=False)
        generate_report(folder, now=datetime(2025, 11, 23, 6, 7, 8, tzinfo=UTC), formats=("json", "csv"))
        pack(folder, TARGET / "sample.zip", key=key, redactor=Redactor())
    (TARGET / "sample.pub").write_bytes(public_pem(key.public_key()))
    (TARGET / "checkpoint.txt").write_text(f"{checkpoint.line}\n", encoding="utf-8", newline="\n")
    (TARGET / "sample.zip.salts.json").replace(TARGET / "salts.json")


def _second_attempt(folder: RunFolder) -> None:
    side_file = folder.side_file("config", 2)
    side_file.write_text(
        json.dumps({"config": {"lr": 2e-4, "hub_token": "hf_" + "a" * 20}, "salt": "5a" * 16}), encoding="utf-8"
    )
    digest = hashlib.sha256(side_file.read_bytes()).hexdigest()
    first = json.loads(folder.journal.read_bytes().splitlines()[0])["open"]
    moment = {"timestamp": "2025-11-23T05:01:00.000000Z"}
    weights = {"model.safetensors": {"bytes": 10, "sha256": hashlib.sha256(b"ten bytes.").hexdigest()}}
    lines = [
        (OPEN, {**first, **moment, "attempt": 2, "resume_step": 10, "side_files": {side_file.name: digest}}),
        (ROW, {"step": 20, "epoch": 0.032, **moment, "elapsed_time_seconds": 30.5, "loss": 2.125, "attempt": 2}),
        (NOTE, {"kind": "weights", **moment, "role": "final", "name": "borea_phi35_so8t", "files": weights}),
        (CLOSE, {"status": "completed", **moment, "elapsed_time_seconds": 31.0, "last_step": 20, "rows": 1}),
    ]
    written = folder.journal.read_bytes()
    for kind, content in lines:
        written += frame(kind, json.dumps(content, separators=(",", ":")).encode(), written.count(b"\n"))
    seal = {"bytes": len(written), "sha256": hashlib.sha256(written).hexdigest()}
    written += frame(SEAL, json.dumps(seal, separators=(",", ":")).encode(), written.count(b"\n"))
    folder.journal.write_bytes(written)


if __name__ == "__main__":
    main()
