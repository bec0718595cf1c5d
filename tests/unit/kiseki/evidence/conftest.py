"""A recorded run with everything a pack can hold, its signed pack, and tools of people who mean harm."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kiseki import TrainingMetricsRecorder
from kiseki.companion.views import refresh_views
from kiseki.evidence.keys import KeyFiles, generate, load_private
from kiseki.evidence.pack import pack
from kiseki.evidence.zip_reading import ZipReader
from kiseki.evidence.zip_writing import ZipWriter
from kiseki.record.line import SEAL, frame, parse
from kiseki.record.side_files import write_side_file
from kiseki.report.generate import generate_report
from kiseki.run_folder import RunFolder
from support import ToldClock

SECRET = "hf_abcdefghijklmnopqrstuv"
DATA = {
    "train": {"file": "train.jsonl", "records": 250, "licences": {"CC0-1.0": 250}, "sha256": "e1" * 32},
    "eval": {"file": "eval.jsonl", "records": 44, "licences": {"CC0-1.0": 44}, "sha256": "e6" * 32},
}
WEIGHTS = {"adapter_model.safetensors": {"bytes": 10, "sha256": "ab" * 32}}

Files = dict[str, bytes]


def record(root: Path, *, steps: int = 30, close: bool = True, **options: Any) -> RunFolder:
    """A run of two attempts with evaluations, a NaN, a phase, weights, configuration and report inputs."""
    folder = RunFolder(root)
    clock = ToldClock()
    for resume_step in (None, steps // 2):
        recorder = TrainingMetricsRecorder(
            root,
            model_name="tiny",
            companion=False,
            save_plots=False,
            run_id="20251123-050000-1f3a9c2e",
            language="en",
            nonce="partner nonce 7",
            resume_step=resume_step,
            clock=clock,
            config={"training": {"lr": 2e-4, "hub_token": SECRET, "output": "/srv/people/taro/out"}, "seed": 7},
            **options,
        )
        for step in range((resume_step or 0) + 1, steps + 1):
            clock.pass_seconds(0.5)
            loss = float("nan") if step == 7 else 3 / step
            recorder.record_step(step=step, epoch=step / steps, loss=loss, learning_rate=2e-4, gate=step * 0.1)
        recorder.record_evaluation(step=steps, epoch=1.0, eval_loss=0.5)
        recorder.mark("phase", name="transition", step=10)
        if resume_step is not None:
            recorder.mark("weights", role="adapter", name="tiny", files=WEIGHTS)
            path = folder.side_file("report_inputs", recorder.attempt)
            digest = write_side_file(path, "report_inputs", {"live": {"data": DATA}})
            recorder.mark("report_inputs", file=path.name, sha256=digest)
        if close:
            recorder.close()
        else:
            recorder.flush()
            recorder.refresh()
    return folder


@pytest.fixture(scope="session")
def recorded_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = record(tmp_path_factory.mktemp("recorded") / "run")
    folder.plots.mkdir()
    folder.curves_png.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(200)))
    (folder.root / "checkpoints").mkdir()
    (folder.root / "checkpoints" / "optimizer.pt").write_bytes(b"not to be packed")
    generate_report(folder, now=datetime(2026, 11, 23, 6, 7, 8, tzinfo=UTC), formats=("json", "csv"))
    return folder.root


@pytest.fixture
def run(recorded_once: Path, tmp_path: Path) -> RunFolder:
    """A closed run of two attempts that may be spoiled."""
    shutil.copytree(recorded_once, tmp_path / "run")
    return RunFolder(tmp_path / "run")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFiles:
    return generate(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def key(keys: KeyFiles) -> Ed25519PrivateKey:
    return load_private(keys.private)


@pytest.fixture(scope="session")
def packed_once(recorded_once: Path, key: Ed25519PrivateKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(RunFolder(recorded_once), tmp_path_factory.mktemp("packed") / "run.zip", key=key).path


@pytest.fixture
def packed(packed_once: Path, tmp_path: Path) -> Path:
    """Its signed pack."""
    return Path(shutil.copy(packed_once, tmp_path / "run.zip"))


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], Files]:
    """The files in a pack."""

    def read(path: Path) -> Files:
        with ZipReader(path) as reader:
            return {name: b"".join(reader.blocks(name)) for name in reader.entries}

    return read


@pytest.fixture(scope="session")
def rezip() -> Callable[[Path, Mapping[str, bytes]], Path]:
    """Put other files into a pack, in the one form that packs have: what an attacker who read our code does."""

    def write(path: Path, files: Mapping[str, bytes]) -> Path:
        with ZipReader(path) as reader:
            moment = reader.moment
        with path.open("wb") as out:
            writer = ZipWriter(out, moment)
            for name in sorted(files):
                writer.add(name, [files[name]])
            writer.finish()
        return path

    return write


Lines = list[tuple[str, Any]]


@pytest.fixture(scope="session")
def rewrite() -> Callable[[RunFolder, Callable[[Lines], Iterable[tuple[str, Any]]]], None]:
    """Write a new history with right numbers, CRCs and seals, and the views for it; reports are thrown away."""
    import hashlib

    def write(folder: RunFolder, change: Callable[[Lines], Iterable[tuple[str, Any]]]) -> None:
        parsed = [parse(raw) for raw in folder.journal.read_bytes().splitlines()]
        lines = [(line.kind, json.loads(line.payload)) for line in parsed if line is not None and line.kind != SEAL]
        written = b""
        for seq, (kind, content) in enumerate(change(lines)):
            written += frame(kind, json.dumps(content, separators=(",", ":")).encode(), seq)
        seal = {"bytes": len(written), "sha256": hashlib.sha256(written).hexdigest()}
        written += frame(SEAL, json.dumps(seal).encode(), written.count(b"\n"))
        folder.journal.write_bytes(written)
        shutil.rmtree(folder.reports, ignore_errors=True)
        refresh_views(folder, plots=False)

    return write
