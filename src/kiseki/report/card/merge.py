"""Puts a generated card into a README.md that people write in, without losing a word of theirs.

Ours stands between two markers; everything outside them stays byte for byte. In the metadata a key that a person set
stays; ours are known by a digest of what was written last time, so that they can change with the run.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import yaml

from kiseki.errors import UsageError
from kiseki.report.card.index import merged_index

BEGIN, END = "<!-- kiseki:begin -->", "<!-- kiseki:end -->"

_INDEX = "model-index"
_MEASURED = ("co2_eq_emissions",)
"""Keys whose value is measured: the record's word counts, whoever set the key."""

_MARKER_LINE = re.compile(r"^[ \t]*(<!-- kiseki:(?:begin|end) -->)[ \t]*\r?$", re.MULTILINE)
_WRITTEN = re.compile(r"<!-- kiseki:metadata ([^\n]*?)-->")
_LINE_END = re.compile(r"\r?\n")
_OPENING = re.compile(r"\ufeff?\s*---[ \t]*(\r?\n)")
_CLOSING = re.compile(r"^---[ \t]*(?:\r?\n|\Z)", re.MULTILINE)


def merged(existing: str | None, metadata: Mapping[str, Any], body: str) -> str:
    """The whole card.

    Args:
        existing: the card that stands there, None when there is none.
        metadata: our metadata by key, in the order it is to have.
        body: our text in Markdown, without markers.

    Raises:
        UsageError: the card that stands there cannot be read so that nothing of it is lost; it says where.
    """
    card = _taken_apart(existing or "")
    target, ours = _together(card, metadata)
    front = _front_matter(card, target)
    note = "".join(f"{key}={_digest(target[key])} " for key in ours)
    lines = [BEGIN, f"<!-- kiseki:metadata {note}-->", "", *body.strip("\n").split("\n"), "", END]
    return f"{card.opening}{front}{card.closing}{_with_block(card, card.newline.join(lines))}"


@dataclass(frozen=True, slots=True)
class _Card:
    """A card taken apart: opening line, `front`, closing line and `text`, joined again, are the card.

    Attributes:
        opening, closing: the lines with `---`, with what stands before the first.
        front: the lines between them.
        text: what follows.
        metadata: what `front` says.
        block: where our text begins and ends in `text`, markers included; None where there is none.
        newline: how lines end.
    """

    opening: str
    front: str
    closing: str
    text: str
    metadata: Mapping[str, Any]
    block: tuple[int, int] | None
    newline: str

    @property
    def written(self) -> dict[str, str]:
        """Digests of the metadata that was written last time, by key."""
        found = _WRITTEN.search(self.text, *self.block) if self.block else None
        return dict(item.split("=", 1) for item in found[1].split() if "=" in item) if found else {}


def _taken_apart(existing: str) -> _Card:
    opening = _OPENING.match(existing)
    if opening is None:
        line_end = _LINE_END.search(existing)
        newline = line_end[0] if line_end else "\n"
        mark = "\ufeff" if existing.startswith("\ufeff") else ""
        text = existing.removeprefix(mark)
        closing = f"---{newline}" if text else f"---{newline}{newline}"
        return _Card(f"{mark}---{newline}", "", closing, text, {}, _block(text), newline)
    closed = _CLOSING.search(existing, opening.end())
    if closed is None:
        raise UsageError(
            "README.md: line 1 opens a metadata block with `---` and no later line closes it; "
            "close it with a line `---`, or take the first line out"
        )
    front, text, newline = existing[opening.end() : closed.start()], existing[closed.end() :], opening[1]
    closing = closed[0] if closed[0].endswith("\n") else f"{closed[0]}{newline}"
    return _Card(opening[0], front, closing, text, _parsed(front), _block(text), newline)


def _parsed(front: str) -> Mapping[str, Any]:
    where = "README.md: the metadata block between the `---` lines"
    try:
        node = yaml.compose(front, Loader=yaml.SafeLoader)
        metadata = yaml.safe_load(front)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none
        raise UsageError(f"{where} is not valid YAML ({' '.join(str(error).split())}); mend it there first") from error
    if node is None:
        return {}
    if not isinstance(metadata, dict) or not isinstance(node, yaml.MappingNode) or node.flow_style:
        raise UsageError(f"{where} must hold one `key: value` per line; mend it there first")
    names = [str(key.value) for key, _ in node.value]
    if len(set(names)) < len(names) or not all(isinstance(key, str) for key in metadata):
        raise UsageError(f"{where} has a key that stands twice or is no text; mend it there first")
    return metadata


def _block(text: str) -> tuple[int, int] | None:
    markers = [(match[1], match.start(1), match.end(1)) for match in _MARKER_LINE.finditer(text)]
    if not markers:
        return None
    if [name for name, _, _ in markers] != [BEGIN, END]:
        raise UsageError(
            f"README.md: {BEGIN} and {END} must stand once each, in this order; "
            f"found {', '.join(name for name, _, _ in markers)}. Take the wrong ones out"
        )
    return markers[0][1], markers[1][2]


def _with_block(card: _Card, block: str) -> str:
    text, newline = card.text, card.newline
    if card.block:
        return text[: card.block[0]] + block + text[card.block[1] :]
    between = "" if not text else newline if text.endswith("\n") else newline * 2
    return f"{text}{between}{block}{newline}"


def _together(card: _Card, metadata: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The metadata as it is to be, and which keys of it are ours to change next time."""
    target, ours, written = dict(card.metadata), [], card.written
    for key in dict.fromkeys([*written, *metadata]):
        mine = key not in target or written.get(key) == _digest(target[key])
        if key == _INDEX:
            continue
        if key in metadata and (mine or key in _MEASURED):
            target[key] = metadata[key]
            ours.append(key)
        elif mine:
            target.pop(key, None)
    index = merged_index(target.get(_INDEX), metadata.get(_INDEX, []))
    if index:
        target[_INDEX] = index
    else:
        target.pop(_INDEX, None)
    return target, ours


def _front_matter(card: _Card, target: Mapping[str, Any]) -> str:
    """The lines between the `---` lines: what does not change keeps its bytes, comments stay in any case."""
    spans = _spans(card.front)
    parts = [card.front[: min((start for start, _ in spans.values()), default=len(card.front))]]
    for key, (start, end) in spans.items():
        lines = card.front[start:end]
        if key in target and _digest(target[key]) == _digest(card.metadata[key]):
            parts.append(lines)
        else:
            parts += [f"{comment}{card.newline}" for comment in _comments(lines)]
            parts.append(_dumped({key: target[key]}, card.newline) if key in target else "")
    front = "".join(parts)
    if front and not front.endswith("\n"):
        front += card.newline
    front += _dumped({key: value for key, value in target.items() if key not in spans}, card.newline)
    if _read_back(front) != {key: _digest(value) for key, value in target.items()}:
        raise UsageError(
            "README.md: the metadata block uses YAML that cannot be changed key by key (anchors, tags); "
            "write it with one plain `key: value` per line"
        )
    return front


def _spans(front: str) -> dict[str, tuple[int, int]]:
    """Where the lines of each top-level key begin and end."""
    node = yaml.compose(front, Loader=yaml.SafeLoader)
    if node is None:
        return {}
    starts = [(key.value, key.start_mark.index) for key, _ in node.value]
    ends = [start for _, start in starts[1:]] + [len(front)]
    return {name: (start, end) for (name, start), end in zip(starts, ends, strict=True)}


def _comments(lines: str) -> list[str]:
    """Comments within the lines of one key: what stands between two tokens of YAML and is no space."""
    marks = [(token.start_mark.index, token.end_mark.index) for token in yaml.scan(lines, Loader=yaml.SafeLoader)]
    gaps = [lines[end:start] for (_, end), (start, _) in pairwise(marks)]
    return [comment for gap in gaps for comment in re.findall(r"#[^\r\n]*", gap)]


def _dumped(mapping: Mapping[str, Any], newline: str) -> str:
    if not mapping:
        return ""
    return yaml.safe_dump(dict(mapping), allow_unicode=True, sort_keys=False, line_break=newline)


def _read_back(front: str) -> dict[str, str]:
    try:
        return {key: _digest(value) for key, value in (yaml.safe_load(front) or {}).items()}
    except yaml.YAMLError:
        return {}


def _digest(value: Any) -> str:
    # of the text and not of the value: NaN equals itself, 1 is not True
    return hashlib.sha256(repr(value).encode("utf-8", "replace")).hexdigest()[:12]
