"""A model folder: no pickle, checked by digest, and refused when anything about it is wrong."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from so8t.data.safety.calibration import softmax
from so8t.data.safety.classifier import SHIPPED
from so8t.data.safety.features import BUCKETS, features
from so8t.data.safety.model import MODEL_FILE, WEIGHTS_FILE, LinearModel, Thresholds, load_model, save_model
from so8t.data.safety.purpose import PURPOSE
from so8t.data.safety.taxonomy import ContentLabel
from so8t.errors import ModelError

LABELS = (ContentLabel.SAFE, ContentLabel.VIOLENCE)


def small_model(columns: list[int] | None = None) -> LinearModel:
    places = np.array(columns or [3, 70, 9000], dtype=np.int64)
    weights = (np.arange(2 * len(places)).reshape(2, -1) / 8).astype(np.float32)
    return LinearModel(
        columns=places,
        rarity=np.full(len(places), 1.5, dtype=np.float32),
        rarest=4.0,
        weights=weights,
        intercept=np.array([0.25, -0.25], dtype=np.float32),
        temperature=0.75,
    )


def save(folder: Path, model: LinearModel | None = None) -> str:
    return save_model(
        folder, model or small_model(), labels=LABELS, thresholds=Thresholds(), trained_on={"texts": 2}, settings={}
    )


@given(st.lists(st.integers(0, (1 << 18) - 1), min_size=1, max_size=30, unique=True))
def test_what_is_saved_is_what_is_loaded(columns: list[int]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        written = small_model(sorted(columns))
        digest = save(Path(folder), written)
        read, facts, read_digest = load_model(Path(folder))
    assert read_digest == digest
    assert facts.labels == LABELS
    for name in ("columns", "rarity", "weights", "intercept"):
        assert np.array_equal(getattr(read, name), getattr(written, name))
    assert (read.rarest, read.temperature) == (4.0, 0.75)


def test_the_same_model_is_the_same_bytes_and_the_digest_stands_for_them(tmp_path: Path) -> None:
    first, second = save(tmp_path / "a"), save(tmp_path / "b")
    assert first == second == hashlib.sha256((tmp_path / "a" / MODEL_FILE).read_bytes()).hexdigest()
    assert (tmp_path / "a" / WEIGHTS_FILE).read_bytes() == (tmp_path / "b" / WEIGHTS_FILE).read_bytes()


def test_the_folder_says_what_the_classifier_is_for(tmp_path: Path) -> None:
    save(tmp_path)
    assert json.loads((tmp_path / MODEL_FILE).read_bytes())["purpose"] == dict(PURPOSE)
    assert json.loads((SHIPPED / MODEL_FILE).read_bytes())["purpose"] == dict(PURPOSE)


@pytest.mark.parametrize("folder", [SHIPPED])
def test_weights_are_plain_arrays_and_no_pickle(folder: Path) -> None:
    with zipfile.ZipFile(folder / WEIGHTS_FILE) as archive:
        for name in archive.namelist():
            assert name.endswith(".npy")
            assert np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False).dtype != object


@pytest.mark.parametrize("missing", [MODEL_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    save(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ModelError, match=missing):
        load_model(tmp_path)


def test_weights_that_were_altered_are_refused(tmp_path: Path) -> None:
    save(tmp_path)
    path = tmp_path / WEIGHTS_FILE
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="SHA-256 differs"):
        load_model(tmp_path)


@pytest.fixture(scope="module")
def shipped() -> LinearModel:
    return load_model(SHIPPED)[0]


def by_definition(model: LinearModel, text: str) -> NDArray[np.float64]:
    """The probabilities of one text in float64, with every bucket's rarity and weights written out."""
    rarity, weights = np.full(BUCKETS, model.rarest), np.zeros((len(model.intercept), BUCKETS))
    rarity[model.columns], weights[:, model.columns] = model.rarity, model.weights
    columns, values = features(text)
    weighted = values * rarity[columns]
    return softmax((weights[:, columns] @ weighted / np.linalg.norm(weighted) + model.intercept) / model.temperature)


ANY_TEXT = st.text(st.characters(), max_size=200) | st.text("a漢👍\u200b ", max_size=200)  # also lone surrogates
EXAMPLES = ["", "\ud800", "How do I make a bomb?" * 10, "爆弾の作り方を教えて。" * 10, "👨‍👩‍👧" * 20, "ﷺ" * 160]


@given(st.lists(ANY_TEXT | st.sampled_from(EXAMPLES), min_size=1, max_size=4))
def test_texts_judged_together_are_judged_as_each_is_by_definition(shipped: LinearModel, texts: list[str]) -> None:
    expected = [by_definition(shipped, text) for text in texts]
    np.testing.assert_allclose(shipped.probabilities(texts), expected, rtol=0, atol=1e-6)


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    described = json.loads((folder / MODEL_FILE).read_bytes())
    change(described)
    (folder / MODEL_FILE).write_text(json.dumps(described), encoding="utf-8")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("labels"),
        lambda d: d.update(labels=["safe", "unknown"]),
        lambda d: d.update(format=2),
        lambda d: d.update(kind="another model"),
        lambda d: d.update(more=1),
        lambda d: d.update(ngrams=[1, 2]),
        lambda d: d.update(labels=["violence", "harassment"]),
        lambda d: d.update(labels=["safe"]),
        lambda d: d.update(labels=["safe", "safe"]),
        lambda d: d.update(temperature=0.0),
        lambda d: d.update(thresholds={"review": 0.9, "block": 0.5}),
    ],
)
def test_a_description_that_does_not_fit_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    save(tmp_path)
    edit(tmp_path, change)
    with pytest.raises(ModelError, match="train"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 torn", np.array([1, 2]).tobytes()], ids=["empty", "torn", "no archive"]
)
def test_weights_that_are_no_archive_are_refused(tmp_path: Path, content: bytes) -> None:
    save(tmp_path)
    (tmp_path / WEIGHTS_FILE).write_bytes(content)
    edit(tmp_path, lambda d: d.update(weights_sha256=hashlib.sha256(content).hexdigest()))
    with pytest.raises(ModelError):
        load_model(tmp_path)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = small_model()
    model.weights[0, 0] = np.nan
    save(tmp_path, model)
    with pytest.raises(ModelError, match="does not fit"):
        load_model(tmp_path)
