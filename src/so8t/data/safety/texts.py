"""The labelled texts a classifier is trained and judged on: one JSON object per line."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from so8t.data.safety.taxonomy import ContentLabel
from so8t.errors import DataError

__all__ = ["LabelledText", "LabelledTexts", "read_texts"]


class LabelledText(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One text and what it is about.

    Attributes:
        text: the text, in wording that is not explicit.
        language: its language.
        label: what it is about.
        pattern: name of the sentence pattern, or of the document, it comes from; texts of one pattern are alike, so
            they never stand on both sides when a classifier is judged.
        topic: what a safe text speaks of, for a count of false alarms by topic: "medicine", "news".
        composed: put together by a program, so it is learnt from, but not asked how sure to be.
    """

    text: Annotated[str, msgspec.Meta(min_length=1)]
    language: Literal["ja", "en"]
    label: ContentLabel
    pattern: Annotated[str, msgspec.Meta(min_length=1)]
    topic: str = ""
    composed: bool = False


@dataclass(frozen=True)
class LabelledTexts:
    """The texts of one file.

    Attributes:
        sha256: SHA-256 of the file's bytes, hexadecimal.
        texts: in file order.
    """

    sha256: str
    texts: Sequence[LabelledText]

    def counts(self) -> dict[str, dict[str, int]]:
        """Texts by label and language."""
        found = Counter((text.label.value, text.language) for text in self.texts)
        labels = [label.value for label in ContentLabel if any(key[0] == label for key in found)]
        return {
            label: {language: found[label, language] for language in ("ja", "en") if found[label, language]}
            for label in labels
        }


def read_texts(path: Path) -> LabelledTexts:
    """Read a file of labelled texts.

    Raises:
        DataError: the file is missing, empty or has a bad line; the line is named, its text is not shown.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): name a JSONL file of labelled texts") from error
    texts = [_text_of(path, number, line) for number, line in enumerate(content.splitlines(), start=1) if line.strip()]
    if not texts:
        raise DataError(f"{path} is empty: write one JSON object per line, as in examples/data/safety_train.jsonl")
    return LabelledTexts(hashlib.sha256(content).hexdigest(), texts)


_DECODER = msgspec.json.Decoder(LabelledText)


def _text_of(path: Path, number: int, line: bytes) -> LabelledText:
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}, line {number}: {error}; correct the line") from error
