"""The classifier's numbers, and the folder they are kept in: `weights.npz` and `model.json`, no pickle anywhere.

`model.json` says what the numbers are for, how they are to be read and the SHA-256 of `weights.npz`, so its own SHA-256
stands for the whole model.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from kiseki.filesystem import replacing
from so8t.data.safety.calibration import softmax
from so8t.data.safety.features import BUCKETS, NGRAMS, FeatureRows, feature_rows
from so8t.data.safety.purpose import PURPOSE
from so8t.data.safety.taxonomy import ContentLabel
from so8t.errors import ModelError

__all__ = ["MODEL_FILE", "WEIGHTS_FILE", "LinearModel", "ModelFacts", "Thresholds", "load_model", "save_model"]

MODEL_FILE = "model.json"
WEIGHTS_FILE = "weights.npz"


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """From which probability of not being safe something is done about a text.

    Attributes:
        review: a person is to look at it.
        block: it is blocked, where its label allows for that.
    """

    review: float = 0.5
    block: float = 0.8

    def __post_init__(self) -> None:
        if not 0.0 < self.review <= self.block < 1.0:
            raise ValueError(
                f"thresholds review {self.review} and block {self.block} must be above 0, ascending and below 1"
            )


class ModelFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `model.json` holds.

    Attributes:
        labels: labels in the order of the weights.
        thresholds: from which probability something is done.
        temperature: what logits are divided by.
        trained_on: the texts: `sha256` of the file, number of `texts`, of `patterns`, and of each label and language.
        settings: how the weights were fitted.
        weights_sha256: SHA-256 of `weights.npz`.
        ngrams: lengths of the character n-grams.
        buckets: size of the space they are hashed into.
        purpose: what the classifier is for, by language.
        kind: what the folder is.
        format: version of the folder's format.
    """

    labels: tuple[ContentLabel, ...]
    thresholds: Thresholds
    temperature: float
    trained_on: dict[str, Any]
    settings: dict[str, float | int | str]
    weights_sha256: str
    ngrams: tuple[int, ...] = NGRAMS
    buckets: int = BUCKETS
    purpose: dict[str, str] = msgspec.field(default_factory=lambda: dict(PURPOSE))
    kind: Literal["so8t safety classifier"] = "so8t safety classifier"
    format: Literal[1] = 1


@dataclass(frozen=True)
class LinearModel:
    """Multinomial logistic regression over hashed n-grams, weighted by how rare each is (TF-IDF, length 1).

    An n-gram without weights still counts towards a text's length: the less the model knows, the less it says.

    Attributes:
        columns: [used], int64, ascending: the buckets that have weights; all others weigh nothing.
        rarity: [used], float32: inverse document frequency of each.
        rarest: the inverse document frequency of every other bucket.
        weights: [labels, used], float32.
        intercept: [labels], float32.
        temperature: what logits are divided by.
    """

    columns: NDArray[np.int64]
    rarity: NDArray[np.float32]
    rarest: float
    weights: NDArray[np.float32]
    intercept: NDArray[np.float32]
    temperature: float

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Calibrated probabilities of the labels, [texts, labels], of at least one text."""
        return softmax(self.logits(feature_rows(texts)) / self.temperature)

    def logits(self, rows: FeatureRows) -> NDArray[np.float32]:
        """Scores of the labels before calibration, [texts, labels]."""
        places = self._places.take(rows.columns)
        values = rows.values * self._rarities.take(places)
        values /= np.sqrt((values * values).sum(axis=1, keepdims=True))
        scores = np.matmul(values[:, np.newaxis], self._weights_by_place.take(places, axis=0))
        result: NDArray[np.float32] = scores[:, 0] + self.intercept
        return result

    @cached_property
    def _places(self) -> NDArray[np.int32]:
        """Where each bucket's numbers stand; those without weights share the place after the last."""
        places = np.full(BUCKETS + 1, len(self.columns), dtype=np.int32)
        places[self.columns] = np.arange(len(self.columns))
        return places

    @cached_property
    def _rarities(self) -> NDArray[np.float32]:
        return np.append(self.rarity, np.float32(self.rarest))

    @cached_property
    def _weights_by_place(self) -> NDArray[np.float32]:
        return np.vstack([self.weights.T, np.zeros_like(self.intercept)])


def save_model(
    folder: Path,
    model: LinearModel,
    *,
    labels: tuple[ContentLabel, ...],
    thresholds: Thresholds,
    trained_on: dict[str, Any],
    settings: dict[str, float | int | str],
) -> str:
    """Write a model folder; a model that stands there is replaced.

    Weights are stored in float16: measured, that moves a probability by less than 0.001.

    Args:
        folder: made where it does not exist.
        model: the numbers.
        labels: of the weights' rows.
        thresholds: from which probability something is done.
        trained_on: what `ModelFacts.trained_on` says.
        settings: how the weights were fitted.

    Returns:
        The model's digest: the SHA-256 of `model.json`.
    """
    packed = io.BytesIO()
    np.savez_compressed(
        packed,
        columns=model.columns.astype(np.int32),
        rarity=model.rarity.astype(np.float16),
        rarest=np.float32(model.rarest),
        weights=model.weights.astype(np.float16),
        intercept=model.intercept.astype(np.float32),
    )
    facts = ModelFacts(
        labels=labels,
        thresholds=thresholds,
        temperature=model.temperature,
        trained_on=trained_on,
        settings=settings,
        weights_sha256=hashlib.sha256(packed.getvalue()).hexdigest(),
    )
    described = msgspec.json.format(msgspec.json.encode(facts)) + b"\n"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ((WEIGHTS_FILE, packed.getvalue()), (MODEL_FILE, described)):
        with replacing(folder / name) as out:
            out.write(content)
    return hashlib.sha256(described).hexdigest()


def load_model(folder: Path) -> tuple[LinearModel, ModelFacts, str]:
    """Read a model folder.

    Returns:
        The numbers, what is said about them, and the model's digest.

    Raises:
        ModelError: the folder or a file is missing, damaged, altered, or of another format.
    """
    described = _read(folder / MODEL_FILE)
    try:
        facts = msgspec.json.decode(described, type=ModelFacts)
    except msgspec.DecodeError as error:
        raise ModelError(f"{folder / MODEL_FILE} does not describe a safety classifier ({error}): train one") from error
    packed = _read(folder / WEIGHTS_FILE)
    if hashlib.sha256(packed).hexdigest() != facts.weights_sha256:
        raise ModelError(
            f"{folder / WEIGHTS_FILE} is not the file that {MODEL_FILE} speaks of (SHA-256 differs): train it again"
        )
    if facts.ngrams != NGRAMS or facts.buckets != BUCKETS:
        raise ModelError(f"{folder} was made for other n-grams than this so8t takes: train it again")
    return _checked(folder, packed, facts), facts, hashlib.sha256(described).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}): name a folder that so8t safety train wrote"
        ) from error


def _checked(folder: Path, packed: bytes, facts: ModelFacts) -> LinearModel:
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            stored = {name: arrays[name] for name in ("columns", "rarity", "rarest", "weights", "intercept")}
    except (EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{folder / WEIGHTS_FILE} is damaged ({error}): train it again") from error
    if not _fits(stored, facts):
        raise ModelError(f"{folder / WEIGHTS_FILE} does not fit what {MODEL_FILE} says: train it again")
    return LinearModel(
        columns=stored["columns"].astype(np.int64),
        rarity=stored["rarity"].astype(np.float32),
        rarest=float(stored["rarest"]),
        weights=stored["weights"].astype(np.float32),
        intercept=stored["intercept"].astype(np.float32),
        temperature=facts.temperature,
    )


def _fits(stored: dict[str, NDArray[Any]], facts: ModelFacts) -> bool:
    columns, rows = stored["columns"], len(facts.labels)
    shapes = {"rarity": columns.shape, "rarest": (), "weights": (rows, columns.size), "intercept": (rows,)}
    return (
        columns.ndim == 1
        and columns.size > 0
        and bool((np.diff(columns) > 0).all())
        and all(stored[name].shape == shape and np.isfinite(stored[name]).all() for name, shape in shapes.items())
        and math.isfinite(facts.temperature)
        and facts.temperature > 0
        and ContentLabel.SAFE in facts.labels
        and len(set(facts.labels)) == rows
    )
