"""What others wrote: the author's texts, settings of any shape, names of metrics. Data, shown as data."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kiseki.report.document import Block, Bullets, Paragraph
from kiseki.report.dossier import UNKNOWN, Dossier
from kiseki.report.sections.numbers import integer
from kiseki.report.sections.wording import Speaker


def visible(text: str) -> str:
    r"""Text in which control characters, line breaks and marks that turn the direction of writing can be seen.

    Example:
        >>> visible("loss\n\u202eevil"), visible("全角　空白")
        ('loss\\n\\u202eevil', '全角　空白')
    """
    return "".join(
        character if character.isprintable() or character == "\u3000" else _escaped(character) for character in text
    )


def value_text(value: Any, say: Speaker) -> str:
    """A setting of any shape, exactly as it was recorded.

    Example:
        >>> from kiseki.report.sections.wording import speaker
        >>> value_text([1, "層"], speaker("en")), value_text(None, speaker("en")), value_text("unknown", speaker("ja"))
        ('[1, "層"]', 'null', '不明')
    """
    if isinstance(value, str):
        return say.unknown if value == UNKNOWN else visible(value)
    return visible(json.dumps(value, ensure_ascii=False, default=str))


def texts(value: Any) -> tuple[str, ...]:
    """What an author wrote under one key: a text, or a list of texts; line breaks divide.

    Example:
        >>> texts("一行目\\n二行目"), texts(["甲", "乙"]), texts(None), texts({"期間": "3か月"})
        (('一行目', '二行目'), ('甲', '乙'), (), ('期間: 3か月',))
    """
    if value is None or value == UNKNOWN:
        return ()
    if isinstance(value, str):
        return tuple(visible(line.strip()) for line in value.splitlines() if line.strip())
    if isinstance(value, Mapping):
        return tuple(f"{visible(str(key))}: {line}" for key, inner in value.items() for line in texts(inner))
    if isinstance(value, Sequence):
        return tuple(line for inner in value for line in texts(inner))
    return (visible(json.dumps(value, ensure_ascii=False, default=str)),)


def stated(dossier: Dossier, key: str) -> tuple[str, ...]:
    """What the `poc` block of the configuration says under a key; empty when it says nothing."""
    return texts(dossier.poc.get(key))


def stated_line(dossier: Dossier, key: str, say: Speaker) -> str:
    """The same on one line."""
    return say.listed(stated(dossier, key)) or say.not_stated


def stated_blocks(dossier: Dossier, key: str, say: Speaker) -> tuple[Block, ...]:
    """The same as running text, or as points when the author gave several."""
    return as_blocks(stated(dossier, key), say)


def as_blocks(lines: tuple[str, ...], say: Speaker) -> tuple[Block, ...]:
    """One text as a paragraph, several as points, none as not stated."""
    if len(lines) > 1:
        return (Bullets(lines),)
    return (Paragraph(lines[0] if lines else say.not_stated),)


def lookup(dossier: Dossier, *paths: str) -> Any:
    """The first setting that is known under one of the dotted names.

    What the live model really has comes before what was asked for.

    Returns:
        The setting, or None: `null` in a configuration says as little as no entry.
    """
    for path in paths:
        for source in (dossier.live, dossier.training_config, dossier.model_config):
            value = _at(source, path)
            if value is not None and value != UNKNOWN:
                return value
    return None


def setting(dossier: Dossier, say: Speaker, *paths: str) -> str:
    """A setting as a text, integers with separators, switches on or off; unknown where it stands nowhere."""
    value = lookup(dossier, *paths)
    if isinstance(value, bool):
        return say.on_off(value)
    if isinstance(value, int):
        return integer(value)
    return say.unknown if value is None else value_text(value, say)


def processes(dossier: Dossier) -> int | None:
    """How many processes trained: as the Trainer says, else as the launcher told each of them; None when nobody did."""
    said = lookup(dossier, "ranks", "world_size", "arguments.world_size")
    if said is None:
        said = as_mapping(as_mapping(dossier.environment).get("variables")).get("WORLD_SIZE")
    return int(said) if re.fullmatch("[0-9]{1,9}", str(said)) else None


def are_counts(*values: Any) -> bool:
    """Whether all are whole numbers; true and false are none.

    Example:
        >>> are_counts(2, 4), are_counts(2, None), are_counts(True)
        (True, False, False)
    """
    return all(isinstance(value, int) and not isinstance(value, bool) for value in values)


def as_mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is an object, else an empty one: what others hand over may be of any shape."""
    return value if isinstance(value, Mapping) else {}


def mappings_in(value: Any) -> list[Mapping[str, Any]]:
    """The objects in a list; none where it is no list."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _at(source: Any, path: str) -> Any:
    for key in path.split("."):
        if not isinstance(source, Mapping) or key not in source:
            return None
        source = source[key]
    return source


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]
