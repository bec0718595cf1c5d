"""Fits the classifier: scikit-learn's multinomial logistic regression over hashed character n-grams.

How sure it may be of itself, and from where on it acts, is learnt from texts it has not seen: the fit is repeated on
four fifths of the sentence patterns at a time, and temperature and thresholds are taken from the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from so8t.data.safety.calibration import fit_temperature, softmax
from so8t.data.safety.features import BUCKETS, features
from so8t.data.safety.model import LinearModel, Thresholds
from so8t.data.safety.taxonomy import ContentLabel
from so8t.data.safety.texts import LabelledText
from so8t.errors import DataError

__all__ = ["Fitted", "fit"]

FALSE_ALARMS = {"review": 0.10, "block": 0.005}
"""Share of the unseen safe texts that may be reviewed, and blocked; most of them speak of what the other labels are
about."""

_FOLDS = 5
_LEAST_PATTERNS = 4  # an n-gram of one or two sentence patterns tells these patterns, not a label
_TOLERANCE = 1e-3  # measured on unseen patterns: no worse than scikit-learn's 1e-4, in half the time


class Fitted(NamedTuple):
    """A fitted model and how the temperature was found.

    Attributes:
        model: the numbers.
        labels: of the weights' rows.
        thresholds: those that keep to `FALSE_ALARMS`.
        settings: what to record with the model.
    """

    model: LinearModel
    labels: tuple[ContentLabel, ...]
    thresholds: Thresholds
    settings: dict[str, float | int | str]


def fit(texts: Sequence[LabelledText], *, regularisation: float = 30.0) -> Fitted:
    """Fit and calibrate.

    Args:
        texts: labelled texts.
        regularisation: inverse strength of the L2 penalty, scikit-learn's ``C``.

    Raises:
        DataError: there is no safe text, no other label, or fewer than five patterns.
    """
    labels = tuple(label for label in ContentLabel if any(text.label is label for text in texts))
    patterns = np.array([text.pattern for text in texts])
    if ContentLabel.SAFE not in labels or len(labels) < 2 or len(set(patterns)) < _FOLDS:
        raise DataError(
            f"a classifier needs safe texts, texts of another label and at least {_FOLDS} patterns, and there are "
            f"{len(set(patterns))} patterns of {', '.join(labels)}: add labelled texts"
        )
    targets = np.array([labels.index(text.label) for text in texts])
    counts = _matrix(texts)
    columns = _shared_columns(counts, patterns)
    rarity = _rarity(counts, columns)
    inputs = _weighted(counts, rarity)[:, columns]
    composed = np.array([text.composed for text in texts])
    logits, found = _unseen_logits(inputs, targets, patterns, len(labels), regularisation, composed)
    temperature = fit_temperature(logits, found)
    safe = labels.index(ContentLabel.SAFE)
    thresholds = _thresholds(1.0 - softmax(logits[found == safe] / temperature)[:, safe])
    weights, intercept = _weights(inputs, targets, len(labels), regularisation)
    model = LinearModel(columns, rarity[columns], float(rarity.max()), weights, intercept, temperature)
    settings: dict[str, float | int | str] = {"C": regularisation, "folds": _FOLDS, "least_patterns": _LEAST_PATTERNS}
    return Fitted(model, labels, thresholds, settings)


def _thresholds(risks_of_safe: NDArray[np.float64]) -> Thresholds:
    """The lowest thresholds, in hundredths, under which no more safe texts are stopped than `FALSE_ALARMS` allows."""
    review, block = (
        min(0.99, math.ceil(100 * float(np.quantile(risks_of_safe, 1.0 - share))) / 100)
        for share in (FALSE_ALARMS["review"], FALSE_ALARMS["block"])
    )
    return Thresholds(review=max(0.01, review), block=max(0.01, block))


def _matrix(texts: Sequence[LabelledText]) -> csr_matrix:
    vectors = [features(text.text) for text in texts]
    starts = np.cumsum([0, *(len(vector.columns) for vector in vectors)])
    columns = np.concatenate([vector.columns for vector in vectors])
    values = np.concatenate([vector.values for vector in vectors])
    return csr_matrix((values, columns, starts), shape=(len(texts), BUCKETS))


def _rarity(counts: csr_matrix, columns: NDArray[np.int64]) -> NDArray[np.float32]:
    """Smoothed inverse document frequency of every bucket: ln((1 + texts) / (1 + texts that have it)) + 1.

    Buckets without weights are all taken for unseen, as they are in prediction.
    """
    texts_with = np.zeros(BUCKETS)
    texts_with[columns] = np.bincount(counts.indices, minlength=BUCKETS)[columns]
    rarity = np.log((1 + counts.shape[0]) / (1 + texts_with)) + 1
    return np.asarray(rarity, dtype=np.float32)


def _weighted(counts: csr_matrix, rarity: NDArray[np.float32]) -> csr_matrix:
    """Counts times rarity, each text of length 1."""
    values = counts.data * rarity[counts.indices]
    squares = np.add.reduceat(values.astype(np.float64) ** 2, counts.indptr[:-1])
    lengths = np.repeat(np.sqrt(squares), np.diff(counts.indptr))
    return csr_matrix(((values / lengths).astype(np.float32), counts.indices, counts.indptr), shape=counts.shape)


def _shared_columns(counts: csr_matrix, patterns: NDArray[np.str_]) -> NDArray[np.int64]:
    """The buckets that texts of at least two patterns have."""
    _, numbers = np.unique(patterns, return_inverse=True)
    rows = np.repeat(numbers, np.diff(counts.indptr))
    pairs = np.unique(np.stack([counts.indices.astype(np.int64), rows]), axis=1)
    columns, found = np.unique(pairs[0], return_counts=True)
    return columns[found >= _LEAST_PATTERNS]


def _weights(
    inputs: csr_matrix, targets: NDArray[np.int64], n_labels: int, regularisation: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    regression = LogisticRegression(C=regularisation, max_iter=1000, tol=_TOLERANCE)
    regression.fit(inputs, targets)
    weights: NDArray[np.float64] = regression.coef_
    intercept: NDArray[np.float64] = regression.intercept_
    if n_labels == 2:  # scikit-learn keeps one row for two labels
        weights, intercept = np.vstack([-weights, weights]) / 2, np.concatenate([-intercept, intercept]) / 2
    return weights.astype(np.float32), intercept.astype(np.float32)


def _unseen_logits(
    inputs: csr_matrix,
    targets: NDArray[np.int64],
    patterns: NDArray[np.str_],
    n_labels: int,
    regularisation: float,
    composed: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits of the texts people wrote, from models that have seen no text of the same pattern, and their labels.

    Folds that lack a label are left out.
    """
    logits, found = [], []
    for fitted, left_out in GroupKFold(_FOLDS).split(inputs, groups=patterns):
        if len(set(targets[fitted])) < n_labels:
            continue
        weights, intercept = _weights(inputs[fitted], targets[fitted], n_labels, regularisation)
        unseen = left_out[~composed[left_out]]
        logits.append(inputs[unseen] @ weights.T + intercept)
        found.append(targets[unseen])
    if not logits:
        raise DataError("every label needs texts of several patterns, or nothing tells how sure to be: add patterns")
    return np.concatenate(logits), np.concatenate(found)
