"""Percent-encoded text (RFC 3986, 2.1) decoded, with the way back: a link shows nothing of the name that it holds."""

from __future__ import annotations

import re
from itertools import accumulate

from so8t.data.privacy.text import Folded

# "%2540" is a "%40" encoded once more
_BYTE = r"%(?:25)*[0-9A-Fa-f]{2}"
_ENCODINGS = ("utf-8", "euc_jp", "cp932")  # of Japanese sites, the strictest first
_ESCAPED = re.compile(rf"(?:{_BYTE})+")
_ONE_BYTE = re.compile(_BYTE)


def is_escaped(text: str) -> bool:
    """Whether there is anything to decode.

    Example:
        >>> is_escaped("?mail=taro%40example.jp"), is_escaped("50% off")
        (True, False)
    """
    return _ESCAPED.search(text) is not None


def unescape(text: str) -> Folded:
    """Decode what is UTF-8, EUC-JP or Shift_JIS and leave the rest.

    Example:
        >>> unescape("?q=%E6%A7%98%41").text, unescape("%C5%C4%C3%E6 %81 100%25").text
        ('?q=様A', '田中 %81 100%')
    """
    pieces: list[str] = []
    origin: list[int] = []
    position = 0
    for run in _ESCAPED.finditer(text):
        pieces.append(text[position : run.start()])
        origin.extend(range(position, run.start()))
        characters, starts = _decoded(run)
        pieces.append(characters)
        origin.extend(starts)
        position = run.end()
    pieces.append(text[position:])
    origin.extend(range(position, len(text) + 1))
    return Folded("".join(pieces), tuple(origin))


def _decoded(run: re.Match[str]) -> tuple[str, list[int]]:
    escapes = list(_ONE_BYTE.finditer(run.string, *run.span()))
    encoded = bytes(int(escape[0][-2:], 16) for escape in escapes)
    for encoding in _ENCODINGS:
        try:
            characters = encoded.decode(encoding)
        except UnicodeDecodeError:
            continue
        ends = accumulate(len(character.encode(encoding)) for character in characters)
        return characters, [escapes[start].start() for start in (0, *ends)[:-1]]
    return run[0], list(range(*run.span()))
