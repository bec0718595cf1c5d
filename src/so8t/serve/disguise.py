"""Finds tags and role tokens inside a part, also where they are spelt to look different.

A part is read the way a lenient reader would read it (`readings`): compatibility forms decomposed, marks and invisible
characters dropped, characters that look like an ASCII letter replaced by it, escapes (HTML, percent, JSON) undone
round after round until nothing changes. Each of these readings is searched. What cannot be read to the end counts as
disguised as well: nothing is ever cleaned and passed on.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from so8t.serve.grammar import FormatViolation

__all__ = ["RULES_DIGEST_INPUT", "find_role_token", "find_tag", "readings"]

MAX_MARKS = 5_000
"""Escapes and "less than" signs of one part. No answer of 2,048 tokens has as many; hostile text must not take long."""
MAX_ROUNDS = 5
"""A text in which escapes are nested deeper is no answer."""

# Unicode's confusables.txt (https://www.unicode.org/Public/security/latest/confusables.txt, UTS #39): the single
# characters that it gives for these letters and that NFKD does not already map to them; added are the small letters of
# the listed capitals, Latin small capitals and further angle brackets. `i` and `l` are one class for the search.
_LOOK_ALIKES = {
    "a": "ɑΑαАаᎪᗅ⍺ꓮᴀ𐊠𖽀",
    "b": "ƄΒВвЬᏏᏴᑲᖯᗷꓐꞴʙ𐊂𐊡𐌁",
    "c": "ςСсᏟᴄⲤⲥꓚꮯ𐊢𐌂𐐕𐐽𐔜𑣩𑣲",
    "d": "ԁᎠᏧᑯᗞᗪꓒꓓᴅ",
    "e": "ΕεЕеҽᎬ℮⋿ⴹꓰꬲᴇɛ𐊆𑢦𑢮",
    "f": "ϜϝքᖴẝꓝꞘꞙꬵꜰƒ𐊇𐊥𐔥𑢢𑣂𝈓",
    "g": "ƍɡԌԍցᏀᏳᶃꓖɢ",
    "h": "ΗНнһհᎻᏂᕼⲎꓧʜħћђ𐋏",
    "i": "ıɩɪιіӏᎥ⍳ꙇꭵ𑣃",
    "k": "ΚκКкᏦᛕⲔꓗᴋĸƙ𐔘",
    "l": "ƖΙІӀ۱ᏞᒪⲒⳐⵏꓡꓲʟł𐊊𐌉𐌠𐐛𐔦𑢣𑢲𖼖𖼨𝈪",
    "m": "ΜϺМмᎷᗰᛖⲘꓟᴍ𐊰𐌑",
    "n": "ΝνηոռпⲚꓠɴŋƞ𐔓",
    "o": "ΟοσОоՕօ۵०০੦૦ଠ୦௦ం౦ಂ೦ംഠ൦ං๐໐ဝ၀ჿዐᴏᴑⲞⲟⵔꓳꬽø𐊒𐊫𐐄𐐬𐓂𐓪𐔖𑓐𑢵𑣈𑣗𑣠",
    "p": "ΡρРрᏢᑭ⍴Ⲣⲣꓑᴘ𐊕",
    "r": "ƦгᎡᏒᖇᴦⲅꓣꭇꭈꮁʀ𐒴𖼵𝈖",
    "s": "ƽЅѕՏᏕᏚꓢꜱꮪ𐊖𐐠𑐈𑣁𖼺",
    "t": "ΤτТтᎢ⟙Ⲧꓔᴛŧ𐊗𐊱𐌕𑢼𖼊🝨",
    "u": "ʋυՍսሀᑌᴜꓴꞟꭎꭒ𐓎𐓶𑢸𑣘𖽂",
    "y": "ɣʏΥγУуҮүყᎩᎽᶌỿⲨꓬꭚ𐊲𑢤𑣜𖽃",
    "<": "˂ᐸᚲ‹❮❬❰⟨〈⧼𝈶",
    ">": "˃ᐳ›❯❭❱⟩〉⧽𝈷",
    "/": "⁄∕╱⟋⧸",
    "\\": "∖⟍⧵⧹",
    "|": "ǀ∣⏽│┃ᛁ",
    "-": "‐‒–—−➖",
}
_INVISIBLE = ("Cf", "Cn", "Co")  # format characters; what has no agreed shape is read as nothing, too
_MARKS = ("Mn", "Me")
_SPACE_CONTROLS = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85"
_FILLERS = "\u115f\u1160\u3164\uffa0\u17b4\u17b5"
# A message hidden in characters that show nothing needs a run of them; the longest honest run is a flag emoji's six.
_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
_HIDDEN_RUN = 8

_BETWEEN = r"[\s_.*\-]*"
_GAP = r"[\s/\\!?*_`|]*"
_CLASSES = {"a": "[a4@]", "e": "[e3]", "i": "[i1l|!]", "l": "[l1i|!]", "o": "[o0]", "s": "[s5$]", "t": "[t7]"}


def _spelt(word: str) -> str:
    """Give the pattern of a word whose letters may be set apart or replaced by digits that look like them."""
    return _BETWEEN.join(_CLASSES.get(letter, letter) for letter in word)


_ANY_ENDING = ("think", "thought", "reasoning", "scratchpad", "innermonologue", "reflection")
_WHOLE = ("final", "analysis", "toolcall", "toolcalls", "toolresponse", "toolresult", "functioncall")
_TAG = re.compile(
    f"<{_GAP}(?=[a-z4@1|!5$7])(?:{'|'.join(map(_spelt, _ANY_ENDING))}"
    rf"|(?:{'|'.join(map(_spelt, _WHOLE))})(?![a-z0-9_])|function\s*=|invoke\s+name)"
)
_ROLE_TOKEN = re.compile(
    r"<\s*\|\s*(?:endoftext|assistant|system|user|end|placeholder\d)\s*\|\s*>"
    r"|<\|[\w▁/-]{1,64}\|>"
    r"|<\s*(?:start|end)_of_turn\s*>|<\s*(?:bos|eos|pad|unk)\s*>|\[\s*/?\s*inst\s*\]|<<\s*/?\s*sys\s*>>"
)

RULES_DIGEST_INPUT: dict[str, object] = {
    "tag": _TAG.pattern,
    "role_token": _ROLE_TOKEN.pattern,
    "look_alikes": _LOOK_ALIKES,
    "max_marks": MAX_MARKS,
    "max_rounds": MAX_ROUNDS,
    "unicode": unicodedata.unidata_version,
}
"""What decides, for the digest of the policy."""


def readings(text: str) -> tuple[str, ...]:
    """Read a text the way a lenient reader would: first as it stands, then after each round of undoing escapes.

    Args:
        text: any text without lone surrogates.

    Returns:
        One to six readings in lower case; the last is the plainest.

    Raises:
        FormatViolation: there are more escapes or tags than an answer has, escapes are nested too deeply, or a long
            run of invisible characters carries something that nobody sees.

    Example:
        >>> readings("＜Ｔhi&#110;k")
        ('<thi&#110;k', '<think')
    """
    if not text.isascii() and _hides_a_run(text):
        raise FormatViolation("a part holds a run of invisible characters")
    current = _skeleton(text)
    found = [current.casefold()]
    for _ in range(MAX_ROUNDS):
        if sum(map(current.count, "&%\\<")) > MAX_MARKS:
            raise FormatViolation("a part holds more escapes or tags than an answer has")
        plainer = _unescaped(current)
        if plainer == current:
            return tuple(found)
        current = plainer
        found.append(current.casefold())
    raise FormatViolation("a part holds escapes within escapes")


def plain(text: str) -> str:
    """Read any text once, in lower case, escapes as they stand.

    Args:
        text: any text without lone surrogates.

    Example:
        >>> plain("Ｔhi&#110;k")
        'thi&#110;k'
    """
    return _skeleton(text).casefold()


def find_tag(texts: Iterable[str]) -> str | None:
    """Find what reads as a thinking tag, a final tag or a tool call, of this format or another vendor's.

    Args:
        texts: the readings of a part.

    Returns:
        The first such piece, or None.

    Example:
        >>> find_tag(readings("&lt;think-task&gt;"))
        '<think'
        >>> find_tag(readings("a < b and b > c")) is None
        True
    """
    return _first(_TAG, texts)


def find_role_token(texts: Iterable[str]) -> str | None:
    """Find what reads as a chat role token.

    Args:
        texts: the readings of a part.

    Returns:
        The first such piece, or None.

    Example:
        >>> find_role_token(readings("stop <|END|>"))
        '<|end|>'
    """
    return _first(_ROLE_TOKEN, texts)


def _first(pattern: re.Pattern[str], texts: Iterable[str]) -> str | None:
    return next((match.group() for text in texts if (match := pattern.search(text))), None)


def _skeleton(text: str) -> str:
    """Replace every character by what it looks like (after UTS #39's skeleton, towards ASCII); keep the case.

    The case is kept because names of HTML entities depend on it.
    """
    if text.isascii():
        return text.translate(_ASCII_CONTROLS)
    looks = _looks().take(_codes(unicodedata.normalize("NFKD", text)))
    return looks.compress(looks > 0).tobytes().decode("utf-32-le")


def _hides_a_run(text: str) -> bool:
    places = np.flatnonzero(_hidden().take(_codes(text)))
    last = _HIDDEN_RUN - 1
    return bool((places[last:] - places[: len(places) - last] == last).any()) if len(places) > last else False


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


_ASCII_CONTROLS = {code: None for code in (*range(0x20), 0x7F) if chr(code) not in _SPACE_CONTROLS}


@cache
def _hidden() -> NDArray[np.bool_]:
    """Tell of every code point whether it shows nothing at all."""
    table = np.zeros(0x110000, dtype=np.bool_)
    for code in (*range(0x20000), *range(0xE0000, 0xE1000)):
        table[code] = _HIDDEN.match(chr(code)) is not None
    return table


@cache
def _looks() -> NDArray[np.uint32]:
    """Give, for every code point, the one it looks like; 0 where there is nothing to see."""
    table = np.arange(0x110000, dtype=np.uint32)
    hidden = (*_INVISIBLE, *_MARKS, "Cc")
    for code in (*range(0x20000), *range(0xE0000, 0xE1000)):
        if unicodedata.category(chr(code)) in hidden:
            table[code] = 0
    for character in _SPACE_CONTROLS:
        table[ord(character)] = ord(character)
    for character in _FILLERS:
        table[ord(character)] = 0
    for letter, look_alikes in _LOOK_ALIKES.items():
        for character in look_alikes:
            table[ord(character)] = ord(letter)
    return table


def _unescaped(text: str) -> str:
    """Undo one round of escapes; what they hid is read as a skeleton again."""
    for mark, pattern, decode in _ESCAPES:
        if mark in text:
            text = pattern.sub(decode, text)
    return text


def _decoded(decode: Callable[[re.Match[str]], str]) -> Callable[[re.Match[str]], str]:
    def skeleton_of(match: re.Match[str]) -> str:
        text = decode(match)
        if not text.isascii():  # code units may have come in pairs
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return _skeleton(text)

    return skeleton_of


def _number(digits: str, base: int) -> str:
    """Give the character of a numeric escape, however many zeros lead it."""
    digits = digits.lstrip("0")
    if len(digits) > 7 or int(digits or "0", base) > 0x10FFFF:
        return "\ufffd"
    return chr(int(digits or "0", base))


def _numeric_entity(match: re.Match[str]) -> str:
    return _number(match[1], 16) if match[1] is not None else _number(match[2], 10)


def _code_units(match: re.Match[str]) -> str:
    r"""Undo \u003c (in runs, for surrogate pairs), %u003c, \u{3c}, \U0000003c and \x3c."""
    return "".join(_number(digits, 16) for digits in re.findall(r"[uUx]\{?([0-9a-fA-F]+)", match[0]))


def _short_escape(match: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t", "r": "\r", "b": "", "f": "\f"}.get(match[1], match[1])


_CODE_UNITS = r"u[0-9a-fA-F]{4}|u\{[0-9a-fA-F]{1,8}\}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}"
_ESCAPES: tuple[tuple[str, re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    ("&", re.compile(r"&#(?:[xX]([0-9a-fA-F]+)|([0-9]+));?"), _decoded(_numeric_entity)),
    ("&", re.compile(r"&[a-zA-Z][a-zA-Z0-9]{0,31};?"), _decoded(lambda match: html.unescape(match[0]))),
    ("%", re.compile(r"(?:%u[0-9a-fA-F]{4})+"), _decoded(_code_units)),
    ("%", re.compile(r"(?:%[0-9a-fA-F]{2})+"), _decoded(lambda match: unquote(match[0]))),
    ("\\", re.compile(rf"(?:\\(?:{_CODE_UNITS}))+"), _decoded(_code_units)),
    ("\\", re.compile(r"\\([ntrbf]|[^\w\s])"), _short_escape),
)
