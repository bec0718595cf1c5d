"""Keeps blocked text from becoming what a model is taught to say.

A training record is refused where blocked text is a target: in the final or in the thinking. Such text may stand on the
prompt side only, under a final that declines and the label DENY or REFUSE. Text of a discarded label may stand nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from so8t.data.safety.classifier import Classifier, SafetyClassifier, Verdict
from so8t.data.safety.discard import must_be_discarded
from so8t.data.safety.refusal import is_refusal
from so8t.data.safety.taxonomy import Action
from so8t.data.thinking_record import REFUSING, DomainLabel, ThinkingRecord

__all__ = ["Guard"]

_NSFW_DOMAINS = frozenset({DomainLabel.NSFW_ADULT, DomainLabel.NSFW_BLOCK})


class Guard:
    """Names what in a record may not be trained on. Its messages hold labels and scores, never the record's text.

    Args:
        classifier: judges texts; by default the one that comes with so8t.

    Example:
        >>> from so8t.data.thinking import read_records
        >>> records = read_records("examples/data/quadruple_thinking_eval.jsonl").records
        >>> [problem for record in records for problem in Guard()(record)]
        []
    """

    def __init__(self, classifier: Classifier | None = None) -> None:
        self._classifier = classifier or SafetyClassifier.load()

    def __call__(self, record: ThinkingRecord) -> Iterator[tuple[str, str]]:
        """Check a record that keeps the schema's rules.

        Yields:
            Field and message of each broken rule, as `so8t.data.thinking.check` does.
        """
        thinking = record.thinking
        targets = {"final": record.final, "thinking": f"{thinking.task}\n{thinking.safety}\n{thinking.policy}"}
        for field, text in targets.items():
            yield from _target(field, self._classifier.classify(text))
        prompt = "\n".join(part for part in (record.system, record.instruction, record.input) if part)
        yield from _prompt(record, self._classifier.classify(prompt))


def _target(field: str, verdict: Verdict) -> Iterator[tuple[str, str]]:
    if must_be_discarded(verdict):
        yield field, f"is {_named(verdict)}: delete the row, such text is never kept"
    elif verdict.action is Action.BLOCK:
        yield (
            field,
            f"is blocked text ({_named(verdict)}), and what the assistant says may not be: remove the row, or decline "
            "in general words",
        )


def _prompt(record: ThinkingRecord, verdict: Verdict) -> Iterator[tuple[str, str]]:
    if must_be_discarded(verdict):
        yield "instruction", f"is {_named(verdict)}: delete the row, such text is never kept, not even as a prompt"
        return
    blocked = verdict.action is Action.BLOCK
    if blocked and record.safety_label not in REFUSING:
        yield (
            "safety_label",
            f"is {record.safety_label.value}, but the prompt is blocked text ({_named(verdict)}), which may only be "
            "DENY or REFUSE: correct the label and decline in the final, or remove the row",
        )
    if (blocked or record.domain_label in _NSFW_DOMAINS) and not is_refusal(record.final):
        yield "final", "does not decline, and the prompt may only be declined: say so in its first sentence"


def _named(verdict: Verdict) -> str:
    return f"{verdict.label.value}, score {verdict.score:.2f}"
