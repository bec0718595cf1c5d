"""What binds a record to a model: the digests of its weight files, and of nothing else."""

import hashlib
from pathlib import Path

from so8t.model.weight_files import WeightFile, digest_weights


def test_every_weight_file_and_nothing_else_is_hashed(tmp_path: Path) -> None:
    contents = {
        "model-00001-of-00002.safetensors": b"first",
        "model-00002-of-00002.safetensors": b"second",
        "adapter_model.bin": b"third",
        "pytorch_model.bin": b"fourth",
        "optimizer.pt": b"no weights",
        "config.json": b"{}",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    told: list[tuple[int, int]] = []
    digests = digest_weights(tmp_path, lambda done, total: told.append((done, total)))
    weights = [name for name in sorted(contents) if name not in ("optimizer.pt", "config.json")]
    assert digests == {
        name: WeightFile(len(contents[name]), hashlib.sha256(contents[name]).hexdigest()) for name in weights
    }
    assert list(digests) == weights
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_a_folder_without_weights_has_no_digests(tmp_path: Path) -> None:
    assert digest_weights(tmp_path) == {}
