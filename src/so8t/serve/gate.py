"""The gate between generated text and client: a validated final answer passes, anything else becomes a fixed text.

The gate sees the whole text at once, so nothing can leave before all of it has been checked. In order: the grammar
(`so8t.serve.grammar`), what stands inside the parts (`so8t.serve.disguise`), repetition of the thinking
(`so8t.serve.overlap`), the safety decision on thinking and final, the same on the final alone.

Who decides on safety: the judges, and the labels that the model itself writes out in its thinking ("DENY", "label:
refuse"). The more severe wins. Without judges and without a label nobody has decided, and the answer is escalated,
unless the policy says that the trained model's own answer may go out.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

from so8t.data.assistant_text import PARTS
from so8t.data.thinking import REFUSING, SafetyLabel
from so8t.errors import ConfigError
from so8t.serve import disguise
from so8t.serve.disguise import find_role_token, find_tag, readings
from so8t.serve.grammar import Block, FormatViolation, is_quadruple, split
from so8t.serve.messages import MESSAGES, Language, fixed_message
from so8t.serve.outcome import Outcome
from so8t.serve.overlap import OverlapLimits, base64_texts, repeats

__all__ = ["GATE_VERSION", "Gate", "GatePolicy", "Judged", "Parts", "SafetyJudge"]

GATE_VERSION = "1"
"""Changes when the same text and policy may be judged differently."""

_TASK = PARTS[0]  # says what is asked, which may well be about denying and refusing
_SEVERITY = {label: rank for rank, label in enumerate(SafetyLabel)}
_LABELS = "ALLOW|ESCALATION|ESCALATE|DENY|REFUSE"
# In capitals a label is meant; in small letters ("refuse collection") only after a word that announces one.
_STATED = re.compile(
    rf"(?<![A-Za-z])(?:(?P<capitals>{_LABELS})|(?i:(?:label|decision|verdict|判定)\s*[:：=]\s*[\"']?(?P<named>{_LABELS})))(?![A-Za-z])"
)


class SafetyJudge(Protocol):
    """Decides what is to be done with a text: a classifier, or safety heads."""

    def decide(self, text: str) -> tuple[SafetyLabel, float]:
        """Decide on one text.

        Args:
            text: thinking and final, or the final alone.

        Returns:
            The label, and how sure it is, from 0 to 1.
        """
        ...


@dataclass(frozen=True)
class GatePolicy:
    """What the gate demands.

    Attributes:
        quadruple: task, safety, policy and final must all be there, each once and in this order. Without it any
            thinking blocks before one final will do.
        allow_confidence: an ALLOW of a judge that is less sure than this becomes ESCALATION.
        allow_unjudged: let an answer out on which neither a judge nor the thinking has stated a label.
        overlap: from which length on an answer repeats the thinking.
        max_characters: a longer text is refused unread.

    Raises:
        ConfigError: `allow_confidence` is not a number from 0 to 1.
    """

    quadruple: bool = True
    allow_confidence: float = 0.7
    allow_unjudged: bool = False
    overlap: OverlapLimits = field(default_factory=OverlapLimits)
    max_characters: int = 1 << 20

    def __post_init__(self) -> None:
        if not 0.0 <= self.allow_confidence <= 1.0:
            raise ConfigError(f"allow_confidence is {self.allow_confidence}; give a number from 0 to 1")


@dataclass(frozen=True)
class Parts:
    """The four parts of a well-formed text, verbatim. Only `final` may ever leave the process."""

    task: str
    safety: str
    policy: str
    final: str


@dataclass(frozen=True)
class Judged:
    """What the gate made of one generated text.

    Attributes:
        outcome: how it ended.
        answer: the final part, verbatim, if it was answered; else the fixed text of the outcome.
        safety_label: the decision, the most severe of all that were taken.
        safety_confidence: how sure that decision is: of a judge, its own figure; 1 where a rule decided; 0 where
            nobody did.
        final_label: the judges' decision on the final alone; None without judges, or where it did not come to it.
        final_confidence: how sure that one is.
        escalated: a person has to look at it.
        parts: for the audit log; None where the parts cannot be told apart.
        failed_judgements: how many calls of a judge raised, or gave something that is no decision.
    """

    outcome: Outcome
    answer: str
    safety_label: SafetyLabel
    safety_confidence: float
    final_label: SafetyLabel | None
    final_confidence: float | None
    escalated: bool
    parts: Parts | None
    failed_judgements: int = 0


@dataclass(frozen=True)
class _Decision:
    label: SafetyLabel
    confidence: float
    failed: int = 0


class Gate:
    """Judges generated texts. Holds no state: the same text, query and language always give the same result.

    Args:
        judges: all are asked about every text; the most severe decision counts. Any order.
        policy: what is demanded.

    Attributes:
        version: `GATE_VERSION`.
        policy_digest: SHA-256, hexadecimal, over everything that decides: version, policy, fixed texts, search
            patterns and the kinds of the judges.

    Example:
        >>> gate = Gate([], GatePolicy(allow_unjudged=True))
        >>> text = ("<think-task>t</think-task><think-safety>s</think-safety><think-policy>p</think-policy>"
        ...         "<final>Wear gloves.</final>")
        >>> gate.judge(text, query="How do I handle ice?", language="en").answer
        'Wear gloves.'
        >>> gate.judge(text + "!", query="How do I handle ice?", language="en").outcome
        <Outcome.FORMAT_VIOLATION: 'format_violation'>
    """

    def __init__(self, judges: Sequence[SafetyJudge], policy: GatePolicy) -> None:
        self._judges = tuple(judges)
        self._policy = policy
        self.version = GATE_VERSION
        self.policy_digest = _digest(policy, self._judges)

    def judge(self, raw: str, *, query: str, language: Language) -> Judged:
        """Judge one generated text. Raises for no text.

        Args:
            raw: the whole text, the forced `<think-task>` included.
            query: what the user wrote, verbatim; only to tell quoting the user from repeating the thinking.
            language: language of the fixed texts.

        Returns:
            What to send, and what to write into the audit log.
        """
        try:
            blocks = self._blocks(raw)
            read = [readings(block.text) for block in blocks]
            _check_inside(read)
        except FormatViolation:
            return _refused(Outcome.FORMAT_VIOLATION, language, None)
        parts = Parts(*(block.text for block in blocks)) if is_quadruple(blocks) else None
        if find_role_token(read[-1]) or self._repeats(blocks, [texts[-1] for texts in read], query):
            return _refused(Outcome.FINAL_REJECTED, language, parts)
        return self._decided(blocks, parts, language)

    def _blocks(self, raw: str) -> tuple[Block, ...]:
        if len(raw) > self._policy.max_characters:
            raise FormatViolation("the text is longer than the policy allows")
        blocks = split(raw)
        if self._policy.quadruple and not is_quadruple(blocks):
            raise FormatViolation("the parts are not task, safety, policy and final")
        return blocks

    def _repeats(self, blocks: Sequence[Block], plain: Sequence[str], query: str) -> bool:
        try:
            answers = [plain[-1], *(readings(text)[-1] for text in base64_texts(blocks[-1].text))]
        except FormatViolation:
            return True
        asked = _plain_query(query)
        return any(repeats(answer, " ".join(plain[:-1]), asked, self._policy.overlap) for answer in answers)

    def _decided(self, blocks: Sequence[Block], parts: Parts | None, language: Language) -> Judged:
        final = blocks[-1].text
        whole = self._ask("\n".join(block.text for block in blocks))
        alone = self._ask(final)
        stated = _stated(block.text for block in blocks[:-1] if block.name != _TASK)
        before = _most_severe([decision for decision in (whole, stated) if decision is not None])
        if before is None:
            before = _Decision(SafetyLabel.ALLOW if self._policy.allow_unjudged else SafetyLabel.ESCALATION, 0.0)
        decided = before if alone is None else (_most_severe([before, alone]) or before)
        outcome = _outcome(before.label, decided.label)
        return Judged(
            outcome=outcome,
            answer=final if outcome is Outcome.ANSWERED else fixed_message(outcome, language),
            safety_label=decided.label,
            safety_confidence=decided.confidence,
            final_label=alone.label if alone else None,
            final_confidence=alone.confidence if alone else None,
            escalated=outcome is Outcome.ESCALATED,
            parts=parts,
            failed_judgements=sum(decision.failed for decision in (whole, alone) if decision),
        )

    def _ask(self, text: str) -> _Decision | None:
        """Ask every judge; None if there is none."""
        decisions = [self._ask_one(judge, text) for judge in self._judges]
        worst = _most_severe(decisions)
        return worst and _Decision(worst.label, worst.confidence, sum(decision.failed for decision in decisions))

    def _ask_one(self, judge: SafetyJudge, text: str) -> _Decision:
        try:
            label, confidence = judge.decide(text)
            label, confidence = SafetyLabel(label), float(confidence)
        except Exception:  # noqa: BLE001 - whatever a judge dies of, its answer must not go out; it is counted
            return _Decision(SafetyLabel.REFUSE, 1.0, failed=1)
        if not 0.0 <= confidence <= 1.0:  # NaN is in no range
            return _Decision(SafetyLabel.REFUSE, 1.0, failed=1)
        if label is SafetyLabel.ALLOW and confidence < self._policy.allow_confidence:
            return _Decision(SafetyLabel.ESCALATION, confidence)
        return _Decision(label, confidence)


def _check_inside(read: Sequence[Sequence[str]]) -> None:
    if any(find_tag(texts) for texts in read):
        raise FormatViolation("a part holds something that reads as a tag")
    if not read[-1][-1].strip():
        raise FormatViolation("the final part shows nothing")


def _plain_query(query: str) -> str:
    """Give the query's plainest reading; nothing where it cannot be read, so that nothing is taken for a quotation."""
    try:
        return readings(query.encode("utf-8", "replace").decode("utf-8"))[-1]
    except FormatViolation:
        return ""


def _stated(thoughts: Iterable[str]) -> _Decision | None:
    """Give the most severe label that is written out in the thinking; an ALLOW of this kind is nobody's measurement."""
    found = (match for thought in thoughts for match in _STATED.finditer(thought))
    labels = [SafetyLabel((match["capitals"] or match["named"]).upper()) for match in found]
    return _most_severe(_Decision(label, 0.0 if label is SafetyLabel.ALLOW else 1.0) for label in labels)


def _most_severe(decisions: Iterable[_Decision]) -> _Decision | None:
    """Give the most severe decision, of equals the least sure one; None if there is none."""
    return max(decisions, key=lambda one: (_SEVERITY[one.label], -one.confidence), default=None)


def _outcome(before: SafetyLabel, decided: SafetyLabel) -> Outcome:
    if decided in REFUSING:
        return Outcome.REFUSED if before in REFUSING else Outcome.FINAL_REJECTED
    return Outcome.ESCALATED if decided is SafetyLabel.ESCALATION else Outcome.ANSWERED


def _refused(outcome: Outcome, language: Language, parts: Parts | None) -> Judged:
    return Judged(
        outcome=outcome,
        answer=fixed_message(outcome, language),
        safety_label=SafetyLabel.REFUSE,
        safety_confidence=1.0,
        final_label=None,
        final_confidence=None,
        escalated=False,
        parts=parts,
    )


def _name(judge: SafetyJudge) -> str:
    """What a judge calls itself, such as a classifier with its digest; else its kind."""
    kind = f"{type(judge).__module__}.{type(judge).__qualname__}"
    return str(getattr(judge, "name", kind))


def _digest(policy: GatePolicy, judges: Sequence[SafetyJudge]) -> str:
    content = {
        "version": GATE_VERSION,
        "policy": asdict(policy),
        "messages": MESSAGES,
        "rules": disguise.RULES_DIGEST_INPUT,
        "stated": _STATED.pattern,
        "judges": sorted(map(_name, judges)),
    }
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()
