"""Bytes of a web page to text: UTF-8, Shift_JIS, EUC-JP and ISO-2022-JP, declared rightly, wrongly or not at all."""

from __future__ import annotations

import codecs
import re

_DECLARED = re.compile(rb"(?:charset|encoding)\s*=\s*[\"']?\s*([A-Za-z0-9_-]{2,20})", re.IGNORECASE)
_DECLARED_WITHIN = 2048
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# what pages call Shift_JIS is Microsoft's extension of it; so is what they call EUC-JP with ① in it
_EXTENDED = {"shift_jis": "cp932", "euc_jp": "euc_jp"}
_USUAL_JAPANESE = re.compile("[ぁ-んァ-ヴー一-龥、。「」]")
_UNUSUAL = re.compile("[\uff61-\uff9f\ue000-\uf8ff\u0080-\u009f]")


def decode(content: bytes) -> str:
    """Read bytes as text.

    What cannot be read in any of the encodings is read as UTF-8 (or as declared) with U+FFFD for every bad byte, so
    that damage can be seen and counted.

    Example:
        >>> [decode("日本語のページ".encode(name)) for name in ("utf-8", "cp932", "euc_jp", "iso2022_jp")]
        ['日本語のページ', '日本語のページ', '日本語のページ', '日本語のページ']
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    declared = _declared(content)
    for encoding in dict.fromkeys(("utf-8", *_escaped(content), *declared)):
        text = _strictly(content, encoding)
        # ISO-2022-JP is valid UTF-8 too, as ASCII with escapes
        if text is not None and not (encoding == "utf-8" and "\x1b" in text):
            return text
    guesses = [text for encoding in ("cp932", "euc_jp") if (text := _strictly(content, encoding)) is not None]
    if guesses:
        return max(guesses, key=_plausibility)
    return content.decode(declared[0] if declared else "utf-8", "replace")


def _declared(content: bytes) -> tuple[str, ...]:
    match = _DECLARED.search(content, 0, _DECLARED_WITHIN)
    if match is None:
        return ()
    try:
        name = codecs.lookup(match[1].decode("ascii")).name
        b"".decode(name)
    except LookupError:  # also of codecs that are not about text
        return ()
    return (_EXTENDED.get(name, name),)


def _escaped(content: bytes) -> tuple[str, ...]:
    return ("iso2022_jp",) if b"\x1b$" in content or b"\x1b(" in content else ()


def _strictly(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeError:
        return None


def _plausibility(text: str) -> int:
    """EUC-JP read as Shift_JIS is full of half-width katakana, and the reverse of rare kanji."""
    return len(_USUAL_JAPANESE.findall(text)) - 2 * len(_UNUSUAL.findall(text))
