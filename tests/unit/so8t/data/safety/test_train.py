"""Fitting: the same every time, calibrated on unseen patterns, and as good as is claimed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training the classifier needs scikit-learn")

from so8t.data.safety.classifier import SHIPPED, SafetyClassifier
from so8t.data.safety.evaluate import evaluate, tables
from so8t.data.safety.features import feature_rows
from so8t.data.safety.model import load_model, save_model
from so8t.data.safety.taxonomy import Action, ContentLabel
from so8t.data.safety.texts import LabelledText, read_texts
from so8t.data.safety.train import fit
from so8t.errors import DataError


def test_a_fitted_model_predicts_without_scikit_learn_what_scikit_learn_would(few_texts: list[LabelledText]) -> None:
    """The stored form (hashing, rarity, length) is checked against scikit-learn's own decision."""
    from so8t.data.safety.train import _matrix, _rarity, _shared_columns, _weighted, _weights

    fitted = fit(few_texts)
    counts = _matrix(few_texts)
    columns = _shared_columns(counts, np.array([text.pattern for text in few_texts]))
    inputs = _weighted(counts, _rarity(counts, columns))[:, columns]
    targets = np.array([fitted.labels.index(text.label) for text in few_texts])
    weights, intercept = _weights(inputs, targets, 2, 30.0)
    expected = inputs @ weights.T + intercept
    found = fitted.model.logits(feature_rows([text.text for text in few_texts]))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_training_twice_gives_the_same_model(few_texts: list[LabelledText], tmp_path: Path) -> None:
    digests = []
    for name in ("a", "b"):
        fitted = fit(few_texts)
        digests.append(
            save_model(
                tmp_path / name,
                fitted.model,
                labels=fitted.labels,
                thresholds=fitted.thresholds,
                trained_on={},
                settings=fitted.settings,
            )
        )
    assert digests[0] == digests[1]


def test_two_labels_are_told_apart_on_a_sentence_never_seen(few_texts: list[LabelledText], tmp_path: Path) -> None:
    fitted = fit(few_texts)
    save_model(
        tmp_path,
        fitted.model,
        labels=fitted.labels,
        thresholds=fitted.thresholds,
        trained_on={},
        settings=fitted.settings,
    )
    classifier = SafetyClassifier.load(tmp_path)
    assert classifier.classify("where are the bomb wiring plans").label is ContentLabel.WEAPONS_DETAIL
    assert classifier.classify("where are the garden recipes").action is Action.PASS


@pytest.mark.parametrize("kept", ["no safe text", "one label", "one pattern"])
def test_texts_that_cannot_teach_anything_are_refused(few_texts: list[LabelledText], kept: str) -> None:
    chosen = {
        "no safe text": [text for text in few_texts if text.label is not ContentLabel.SAFE],
        "one label": [text for text in few_texts if text.label is ContentLabel.SAFE],
        "one pattern": [text for text in few_texts if text.pattern.endswith("/0")],
    }[kept]
    with pytest.raises(DataError, match="add"):
        fit(chosen)


def test_the_shipped_classifier_was_trained_on_the_texts_in_the_repository(examples: Path) -> None:
    _, facts, _ = load_model(SHIPPED)
    texts = read_texts(examples / "safety_train.jsonl")
    assert facts.trained_on["sha256"] == texts.sha256
    assert facts.trained_on["texts"] == len(texts.texts)


def test_the_shipped_classifier_does_on_unseen_patterns_what_the_documentation_says(
    shipped: SafetyClassifier, examples: Path
) -> None:
    """Floors a little below what was measured; docs/model-design.md shows the figures."""
    found = evaluate(shipped, read_texts(examples / "safety_heldout.jsonl").texts)
    by_label = {(row.label, row.language): row for row in found.labels}
    for language in ("ja", "en"):
        assert by_label["safe", language].stopped <= 0.10
        assert by_label["safe", language].blocked <= 0.01
        unsafe = [row for row in found.labels if row.language == language and row.label != "safe"]
        assert sum(row.stopped * row.texts for row in unsafe) / sum(row.texts for row in unsafe) >= 0.75
        assert by_label["child_exploitation", language].blocked == 1.0
    assert sum(topic.blocked for topic in found.topics if topic.topic in {"medicine", "law", "news", "education"}) == 0


def test_the_evaluation_counts_what_the_classifier_said(shipped: SafetyClassifier) -> None:
    texts = [
        LabelledText(text="How do I make good bread?", language="en", label=ContentLabel.SAFE, pattern="a", topic="x"),
        LabelledText(text="Write a porn story, hardcore.", language="en", label=ContentLabel.NSFW_BLOCK, pattern="b"),
    ]
    found = evaluate(shipped, texts)
    rows = {row.label: (row.texts, row.stopped, row.named) for row in found.labels}
    assert rows == {"safe": (1, 0.0, 1.0), "nsfw_block": (1, 1.0, 1.0)}
    assert [(t.topic, t.texts, t.reviewed, t.blocked) for t in found.topics] == [("x", 1, 0, 0)]
    assert {row.threshold: row.recall for row in found.thresholds}[0.5] == 1.0
    assert "| nsfw_block | en | 1 |" in tables(found)
    assert "porn" not in tables(found)
