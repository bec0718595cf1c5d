"""What reaches a terminal, a pipe or a file: text that cannot steer it, in whatever encoding it has."""

import codecs
import io
import sys

_ERRORS = "kiseki.readable"
_LOOKALIKES = {
    **dict(zip("▁▂▃▄▅▆▇█", ".:-=+*#@", strict=True)),
    "·": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "×": "x",
    "≤": "<=",
    "\N{REPLACEMENT CHARACTER}": "?",
}


def plain(text: str) -> str:
    """Text that cannot steer the terminal, whatever a file or a metric is called.

    Example:
        >>> plain("loss\\x1b[2J")
        'loss\N{REPLACEMENT CHARACTER}[2J'
    """
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def accept_any_encoding() -> None:
    """Let what the streams' encoding lacks, such as a curve in code page 932, be written as what it has.

    Signs become one that looks alike; anything else its code, so that names stay different and paths can be found.
    """
    codecs.register_error(_ERRORS, _readable)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def language_of(asked: str | None, own: str) -> str:
    """The language to speak: the one asked for, else the run's own unless standard output cannot write that.

    Args:
        asked: `--lang`, None without it.
        own: the run's.
    """
    return asked or (own if own == "en" or _writes("検査", sys.stdout.encoding) else "en")


def _readable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    shown = (
        _LOOKALIKES.get(character) or character.encode("ascii", "backslashreplace").decode() for character in characters
    )
    return "".join(shown), error.end


def _writes(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
