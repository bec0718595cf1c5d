"""The gate between generated text and client: a validated final answer passes, anything else becomes a fixed text.

The gate sees the whole text at once, so nothing can leave before all of it has been checked. In order: the grammar
(`so8t.serve.grammar`), what stands inside the parts (`so8t.serve.disguise`), repetition of the thinking
(`so8t.serve.overlap`), the safety decision on thinking and final, the same on the final alone. The question is judged
before anything is generated: what a request wants is plainest where it is asked.

Who decides on safety (`so8t.serve.judging`): the judges, and the labels that the model itself writes out in its
thinking. The more severe wins. Without judges and without a label nobody has decided, and the answer is escalated,
unless the policy says that the trained model's own answer may go out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from so8t.data.assistant_text import PARTS
from so8t.data.safety.decision import Reading, text_to_judge
from so8t.data.thinking import REFUSING, SafetyLabel
from so8t.errors import ConfigError
from so8t.serve import disguise
from so8t.serve.disguise import find_role_token, find_tag, readings
from so8t.serve.grammar import Block, FormatViolation, is_quadruple, split
from so8t.serve.judging import STATED, SafetyJudge, Verdict, ask, most_severe, stated
from so8t.serve.messages import MESSAGES, Language, fixed_message
from so8t.serve.outcome import Outcome
from so8t.serve.overlap import OverlapLimits, base64_texts, repeats

__all__ = ["GATE_VERSION", "Gate", "GatePolicy", "Judged", "Parts"]

GATE_VERSION = "2"
"""Changes when the same text and policy may be judged differently."""

_TASK = PARTS[0]  # says what is asked, which may well be about denying and refusing


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
        parts: for the audit log; None where the parts cannot be told apart.
        reading: what heads read off thinking and final besides; None without heads, or where it did not come to it.
        failed_judgements: how many calls of a judge raised, or gave something that is no decision.
    """

    outcome: Outcome
    answer: str
    safety_label: SafetyLabel
    safety_confidence: float
    final_label: SafetyLabel | None = None
    final_confidence: float | None = None
    parts: Parts | None = None
    reading: Reading | None = None
    failed_judgements: int = 0

    @property
    def escalated(self) -> bool:
        """Whether a person has to look at it."""
        return self.outcome is Outcome.ESCALATED


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

    def judge_query(self, query: str, language: Language) -> Judged | None:
        """Judge a question before anything is generated.

        Args:
            query: what the user wrote, verbatim.
            language: language of the fixed texts.

        Returns:
            None if it may be answered, or if there is no judge; else the refusal or escalation that ends it.
        """
        verdict = self._ask(query)
        if verdict is None or verdict.label is SafetyLabel.ALLOW:
            return None
        outcome = _outcome(verdict.label, verdict.label)
        return Judged(
            outcome=outcome,
            answer=fixed_message(outcome, language),
            safety_label=verdict.label,
            safety_confidence=verdict.confidence,
            failed_judgements=verdict.failed,
        )

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
            return _refused(Outcome.FORMAT_VIOLATION, language)
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
        # one text, so that thinking cut into pieces is found too, and many pieces cost what one does
        answer = "\n".join((plain[-1], disguise.plain("\n".join(base64_texts(blocks[-1].text)))))
        return repeats(answer, " ".join(plain[:-1]), _plain_query(query), self._policy.overlap)

    def _decided(self, blocks: Sequence[Block], parts: Parts | None, language: Language) -> Judged:
        final = blocks[-1].text
        whole = self._ask(text_to_judge(block.text for block in blocks))
        alone = self._ask(final)
        said = stated(block.text for block in blocks[:-1] if block.name != _TASK)
        if whole is not None and said is not None and said.label is SafetyLabel.ALLOW:
            said = None  # what the thinking says of itself adds nothing to a measurement
        before = most_severe(verdict for verdict in (whole, said) if verdict is not None)
        if before is None:
            before = Verdict(SafetyLabel.ALLOW if self._policy.allow_unjudged else SafetyLabel.ESCALATION, 0.0)
        decided = before if alone is None else (most_severe([before, alone]) or before)
        outcome = _outcome(before.label, decided.label)
        return Judged(
            outcome=outcome,
            answer=final if outcome is Outcome.ANSWERED else fixed_message(outcome, language),
            safety_label=decided.label,
            safety_confidence=decided.confidence,
            final_label=alone.label if alone else None,
            final_confidence=alone.confidence if alone else None,
            parts=parts,
            reading=whole.reading if whole else None,
            failed_judgements=sum(verdict.failed for verdict in (whole, alone) if verdict),
        )

    def _ask(self, text: str) -> Verdict | None:
        return ask(self._judges, text, self._policy.allow_confidence)


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


def _outcome(before: SafetyLabel, decided: SafetyLabel) -> Outcome:
    if decided in REFUSING:
        return Outcome.REFUSED if before in REFUSING else Outcome.FINAL_REJECTED
    return Outcome.ESCALATED if decided is SafetyLabel.ESCALATION else Outcome.ANSWERED


def _refused(outcome: Outcome, language: Language, parts: Parts | None = None) -> Judged:
    return Judged(
        outcome=outcome,
        answer=fixed_message(outcome, language),
        safety_label=SafetyLabel.REFUSE,
        safety_confidence=1.0,
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
        "stated": STATED.pattern,
        "judges": sorted(map(_name, judges)),
    }
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()
