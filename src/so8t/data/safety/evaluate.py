"""How well a classifier does on texts it has not seen: by label, language, threshold and topic, with calibration."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

from so8t.data.safety.calibration import brier_score, expected_calibration_error, reliability
from so8t.data.safety.classifier import Classifier, Verdict
from so8t.data.safety.taxonomy import Action, ContentLabel
from so8t.data.safety.texts import LabelledText

__all__ = ["THRESHOLDS", "AtThreshold", "Evaluation", "OfLabel", "OfTopic", "evaluate", "tables"]

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Thresholds of the table, beside the classifier's own."""

_BINS = 5


class OfLabel(msgspec.Struct, frozen=True, kw_only=True):
    """Texts of one label and language, and what became of them at the classifier's own thresholds.

    Attributes:
        label: the right label.
        language: ja or en.
        texts: how many there are.
        stopped: share that does not pass; of safe texts, the false alarms.
        blocked: share that is blocked.
        named: share that gets this label.
        precision: of the texts given this label, the share that has it; None where it was given to none.
    """

    label: str
    language: str
    texts: int
    stopped: float
    blocked: float
    named: float
    precision: float | None


class AtThreshold(msgspec.Struct, frozen=True, kw_only=True):
    """What a threshold would do in one language.

    Attributes:
        threshold: texts whose score reaches it are stopped.
        language: ja or en.
        recall: share of the unsafe texts that is stopped.
        false_alarms: share of the safe texts that is stopped.
        precision: share of the stopped texts that is unsafe; None where none is stopped.
    """

    threshold: float
    language: str
    recall: float
    false_alarms: float
    precision: float | None


class OfTopic(msgspec.Struct, frozen=True, kw_only=True):
    """Safe texts that speak of one topic: `texts`, and how many of them were `reviewed` and `blocked`."""

    topic: str
    texts: int
    reviewed: int
    blocked: int


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """All tables.

    Attributes:
        texts: how many were judged.
        labels: by label and language.
        thresholds: by threshold and language.
        topics: of the safe texts.
        calibration: `expected_calibration_error` and `brier_score` of the score, and `bins` of it.
    """

    texts: int
    labels: list[OfLabel]
    thresholds: list[AtThreshold]
    topics: list[OfTopic]
    calibration: dict[str, object]


_Judged = Sequence[tuple[LabelledText, Verdict]]


def evaluate(classifier: Classifier, texts: Sequence[LabelledText]) -> Evaluation:
    """Judge every text and count.

    Args:
        classifier: what is judged.
        texts: labelled texts that it was not trained on.
    """
    judged = [(text, classifier.classify(text.text)) for text in texts]
    languages = sorted({text.language for text in texts}, reverse=True)
    return Evaluation(
        texts=len(texts),
        labels=[row for label in ContentLabel for language in languages for row in _of_label(judged, label, language)],
        thresholds=[_at(judged, threshold, language) for threshold in THRESHOLDS for language in languages],
        topics=[_of_topic(judged, topic) for topic in sorted({t.topic for t in texts if _is_safe(t)})],
        calibration=_calibration(judged),
    )


def _is_safe(text: LabelledText) -> bool:
    return text.label is ContentLabel.SAFE


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _of_label(judged: _Judged, label: ContentLabel, language: str) -> Iterator[OfLabel]:
    ours = [verdict for text, verdict in judged if text.label is label and text.language == language]
    if not ours:
        return
    right = sum(verdict.label is label for verdict in ours)
    given = sum(verdict.label is label for text, verdict in judged if text.language == language)
    yield OfLabel(
        label=label.value,
        language=language,
        texts=len(ours),
        stopped=sum(verdict.action is not Action.PASS for verdict in ours) / len(ours),
        blocked=sum(verdict.action is Action.BLOCK for verdict in ours) / len(ours),
        named=right / len(ours),
        precision=_share(right, given),
    )


def _at(judged: _Judged, threshold: float, language: str) -> AtThreshold:
    ours = [(text, verdict.score >= threshold) for text, verdict in judged if text.language == language]
    unsafe = [stopped for text, stopped in ours if not _is_safe(text)]
    safe = [stopped for text, stopped in ours if _is_safe(text)]
    return AtThreshold(
        threshold=threshold,
        language=language,
        recall=_share(sum(unsafe), len(unsafe)) or 0.0,
        false_alarms=_share(sum(safe), len(safe)) or 0.0,
        precision=_share(sum(unsafe), sum(unsafe) + sum(safe)),
    )


def _of_topic(judged: _Judged, topic: str) -> OfTopic:
    ours = [verdict.action for text, verdict in judged if _is_safe(text) and text.topic == topic]
    return OfTopic(topic=topic, texts=len(ours), reviewed=ours.count(Action.REVIEW), blocked=ours.count(Action.BLOCK))


def _calibration(judged: _Judged) -> dict[str, object]:
    scores = [verdict.score for _, verdict in judged]
    unsafe = [not _is_safe(text) for text, _ in judged]
    bins = reliability(scores, unsafe, bins=_BINS)
    return {
        "expected_calibration_error": expected_calibration_error(bins),
        "brier_score": brier_score(scores, unsafe),
        "bins": [
            {"low": b.low, "high": b.high, "texts": b.count, "mean_score": b.predicted, "unsafe": b.observed}
            for b in bins
            if b.count
        ],
    }


def tables(found: Evaluation) -> str:
    """The evaluation as Markdown tables."""
    parts = [
        _table(
            ("label", "language", "texts", "stopped", "blocked", "named rightly", "precision"),
            [
                (r.label, r.language, r.texts, *map(_percent, (r.stopped, r.blocked, r.named, r.precision)))
                for r in found.labels
            ],
        ),
        _table(
            ("threshold", "language", "unsafe stopped", "safe stopped", "precision"),
            [
                (f"{r.threshold:.1f}", r.language, *map(_percent, (r.recall, r.false_alarms, r.precision)))
                for r in found.thresholds
            ],
        ),
        _table(
            ("safe texts on", "texts", "reviewed", "blocked"),
            [(r.topic, r.texts, r.reviewed, r.blocked) for r in found.topics],
        ),
        _calibration_table(found.calibration),
    ]
    return "\n\n".join(parts) + "\n"


def _calibration_table(calibration: dict[str, object]) -> str:
    bins = calibration["bins"]
    assert isinstance(bins, list)
    rows = [
        (f"{b['low']:.1f} to {b['high']:.1f}", b["texts"], _percent(b["mean_score"]), _percent(b["unsafe"]))
        for b in bins
    ]
    return (
        f"Calibration: expected error {calibration['expected_calibration_error']:.3f}, "
        f"Brier score {calibration['brier_score']:.3f}.\n\n"
        + _table(("score", "texts", "mean score", "really unsafe"), rows)
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _percent(share: float | None) -> str:
    return "–" if share is None or math.isnan(share) else f"{share:.1%}"
