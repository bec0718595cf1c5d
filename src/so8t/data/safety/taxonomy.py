"""The labels a text can have, what is to be done about each, and how the names of older label sets read here.

The nine labels of `CANONICAL` are the taxonomy. `child_exploitation` stands outside it: nobody reviews such text, and
nobody keeps it; it is hashed and discarded, so no data set can hold the label.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from so8t.data.thinking_record import SafetyLabel
from so8t.errors import DataError

__all__ = [
    "ALIASES",
    "CANONICAL",
    "CEILING",
    "DECISION",
    "DISCARDED",
    "Action",
    "ContentLabel",
    "label_of",
]


class ContentLabel(StrEnum):
    """What a text is about."""

    SAFE = "safe"
    NSFW_SOFT = "nsfw_soft"
    NSFW_BLOCK = "nsfw_block"
    VIOLENCE = "violence"
    HARASSMENT = "harassment"
    SELF_HARM = "self_harm"
    WEAPONS_DETAIL = "weapons_detail"
    MEDICAL_ADVICE_HIGH_RISK = "medical_advice_high_risk"
    ILLEGAL_CONTENT = "illegal_content"
    CHILD_EXPLOITATION = "child_exploitation"


class Action(StrEnum):
    """What is to be done with a text, mildest first."""

    PASS = "pass"
    REVIEW = "review"
    BLOCK = "block"


DISCARDED = frozenset({ContentLabel.CHILD_EXPLOITATION})
"""Labels whose text is hashed and discarded, whatever for it was collected."""

CANONICAL = tuple(label for label in ContentLabel if label not in DISCARDED)
"""The nine labels of the taxonomy, in its order."""

DECISION: Mapping[ContentLabel, SafetyLabel] = MappingProxyType(
    {
        ContentLabel.SAFE: SafetyLabel.ALLOW,
        ContentLabel.NSFW_SOFT: SafetyLabel.DENY,
        ContentLabel.NSFW_BLOCK: SafetyLabel.REFUSE,
        ContentLabel.VIOLENCE: SafetyLabel.DENY,
        ContentLabel.HARASSMENT: SafetyLabel.DENY,
        ContentLabel.SELF_HARM: SafetyLabel.ESCALATION,
        ContentLabel.WEAPONS_DETAIL: SafetyLabel.REFUSE,
        ContentLabel.MEDICAL_ADVICE_HIGH_RISK: SafetyLabel.ESCALATION,
        ContentLabel.ILLEGAL_CONTENT: SafetyLabel.REFUSE,
        ContentLabel.CHILD_EXPLOITATION: SafetyLabel.REFUSE,
    }
)
"""What the system is to do with a request of each label; whoever may be in danger is handed to a person."""

CEILING: Mapping[ContentLabel, Action] = MappingProxyType(
    {label: Action.REVIEW if DECISION[label] is SafetyLabel.ESCALATION else Action.BLOCK for label in ContentLabel}
    | {ContentLabel.SAFE: Action.PASS}
)
"""The most that is done about a text of each label, however certain the label is."""

_FINE: Mapping[str, ContentLabel] = {
    "sexual_content_explicit": ContentLabel.NSFW_BLOCK,
    "sexual_content_implicit": ContentLabel.NSFW_SOFT,
    "sexual_content_educational": ContentLabel.SAFE,
    "violence_graphic": ContentLabel.VIOLENCE,
    "violence_implied": ContentLabel.VIOLENCE,
    "violence_educational": ContentLabel.SAFE,
    "hate_speech_racial": ContentLabel.HARASSMENT,
    "hate_speech_gender": ContentLabel.HARASSMENT,
    "hate_speech_religious": ContentLabel.HARASSMENT,
    "hate_speech_other": ContentLabel.HARASSMENT,
    "self_harm_suicide": ContentLabel.SELF_HARM,
    "self_harm_self_injury": ContentLabel.SELF_HARM,
    "weapons_manufacturing": ContentLabel.WEAPONS_DETAIL,
    "weapons_usage": ContentLabel.WEAPONS_DETAIL,
    "weapons_educational": ContentLabel.SAFE,
    "medical_advice_diagnosis": ContentLabel.MEDICAL_ADVICE_HIGH_RISK,
    "medical_advice_treatment": ContentLabel.MEDICAL_ADVICE_HIGH_RISK,
    "medical_advice_educational": ContentLabel.SAFE,
    "illegal_drugs": ContentLabel.ILLEGAL_CONTENT,
    "illegal_financial": ContentLabel.ILLEGAL_CONTENT,
    "illegal_cybercrime": ContentLabel.ILLEGAL_CONTENT,
    "privacy_violation": ContentLabel.ILLEGAL_CONTENT,
}

_COARSE: Mapping[str, ContentLabel] = {
    "nsfw": ContentLabel.NSFW_BLOCK,  # the set of eight does not say which: taken for the stricter one
    "nsfw_erotic": ContentLabel.NSFW_BLOCK,
    "nsfw_violence": ContentLabel.VIOLENCE,
    "drug_detection": ContentLabel.ILLEGAL_CONTENT,
}

ALIASES: Mapping[str, ContentLabel] = MappingProxyType({**_FINE, **_COARSE})
"""Names of the fine (23), the coarse (8) and the cleansing (4) label set that are no labels here.

`safety_detection` of the last is missing on purpose: it says that something was found, and not what.
"""


def label_of(name: str) -> ContentLabel:
    """Read a label's name, of this taxonomy or of an older label set.

    Args:
        name: for example ``"nsfw_block"`` or ``"hate_speech_racial"``.

    Raises:
        DataError: no label set has that name, or it does not say what the text is about.

    Example:
        >>> label_of("hate_speech_racial").value, label_of("weapons_educational").value
        ('harassment', 'safe')
    """
    if name in ALIASES:
        return ALIASES[name]
    try:
        return ContentLabel(name)
    except ValueError:
        known = ", ".join(ContentLabel)
        raise DataError(f"{name!r} is no safety label: use one of {known}") from None
