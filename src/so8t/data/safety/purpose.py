"""The one sentence on what NSFW text is for; every page, card and report that speaks of it says it in these words."""

from types import MappingProxyType

__all__ = ["PURPOSE", "PURPOSE_EN", "PURPOSE_JA"]

PURPOSE_JA = "NSFWコーパスの主目的は安全判定と拒否挙動の学習であり、生成を目的としない。分類器は検出・拒否用途に限る。"
"""The sentence in Japanese, which is the one that binds."""

PURPOSE_EN = (
    "The main purpose of the NSFW corpus is to learn safety judgement and refusal behaviour; it is not for generation. "
    "The classifier is limited to detection and refusal."
)
"""The sentence in English."""

PURPOSE = MappingProxyType({"ja": PURPOSE_JA, "en": PURPOSE_EN})
"""Language -> sentence."""
