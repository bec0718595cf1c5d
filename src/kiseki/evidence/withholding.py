"""What is taken out of the side files before they are shown, and commitments to it.

For every value that is taken out, the redacted file gives the SHA-256 of an *opening*: the value with its place and
16 bytes of salt, as one line of JSON. Whoever keeps the opening can show it later; whoever has only the commitment can
neither guess the value nor be shown another one. The salts are made from the side file's own salt, which never leaves
with a redacted file, so that the same run gives the same pack.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from kiseki.provenance.redaction import REMOVED, Redactor
from kiseki.record.side_files import canonical_json

CONFIDENTIALITIES = ("partner", "public")

_NAMES_OF_PEOPLE_AND_PLACES = re.compile(
    r"(?:^|[_.\-])(?:author|approver|owner|user|username|host|hostname|email|mail|team|organi[sz]ation|company|customer"
    r"|partner|contact|address|url|uri|endpoint|path|dir|file|command|argv|branch|commit|remote|repo|repository"
    r"|variables|run_name|note|description|purpose|title)s?$",
    re.IGNORECASE,
)
_SETTING = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+:=<>|-]{0,79}|[<>=!]=?")
"""Text that names a choice, a version, a type, a digest, an operator; anything else may be prose, a path or a name."""


class Redaction(NamedTuple):
    """A side file as it may be shown.

    Attributes:
        content: the redacted file's bytes.
        openings: by pointer, the texts whose SHA-256 the file gives; kept by whoever made the pack.
    """

    content: bytes
    openings: dict[str, str]


def redact(raw: bytes, name: str, path: str, confidentiality: str, redactor: Redactor, sha256: str) -> Redaction | None:
    """Take out of a side file what the reader may not see.

    Args:
        raw: the file as it stands, `{"salt": …, NAME: content}`.
        name: the key of its content.
        path: the file's name in the run folder.
        confidentiality: `partner` takes out secrets, paths, user and host names; `public` also free text and whatever
            is named as a person, a place or a file.
        redactor: knows this machine's user, host and home folder.
        sha256: digest of `raw`.

    Returns:
        None when there is nothing to take out: the file can be shown as it is.

    Raises:
        ValueError: it is no side file, so that nothing of it may be shown.
    """
    try:
        whole = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"it is no JSON object: {error}") from error
    salt, content = whole.get("salt"), whole.get(name)
    if set(whole) != {"salt", name} or not isinstance(salt, str) or len(salt) < 32:
        raise ValueError("it is no side file with a salt")
    shown = redactor.value(content)
    if confidentiality == "public":
        shown = _for_public(shown)
    taken_out = dict(_differences(content, shown, ""))
    if not taken_out:
        return None
    openings = {pointer: _opening(pointer, was, salt) for pointer, was in taken_out.items()}
    redacted = {
        "redacted_from": {"path": path, "sha256": sha256},
        name: shown,
        "removed": {pointer: hashlib.sha256(text.encode()).hexdigest() for pointer, text in openings.items()},
    }
    return Redaction(msgspec.json.format(canonical_json(redacted), indent=2) + b"\n", openings)


def secrets_in(value: Any, redactor: Redactor) -> bool:
    """Whether a JSON value holds something that looks like a secret: a key, a token, a password."""
    return _count_removed(redactor.value(value)) > _count_removed(value)


def _count_removed(value: Any) -> int:
    if isinstance(value, str):
        return value.count(REMOVED)
    if isinstance(value, Mapping):
        return sum(_count_removed(key) + _count_removed(item) for key, item in value.items())
    return sum(map(_count_removed, value)) if isinstance(value, list | tuple) else 0


def _opening(pointer: str, was: Mapping[str, Any], salt: str) -> str:
    derived = hmac.new(salt.encode(), b"kiseki commitment " + pointer.encode("utf-8", "replace"), hashlib.sha256)
    return canonical_json({"at": pointer, "salt": derived.hexdigest()[:32], **was}).decode("utf-8")


def _for_public(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _named(str(key), item) for key, item in value.items()}
    if isinstance(value, list):
        return [_for_public(item) for item in value]
    if isinstance(value, str):
        return value if value in ("", REMOVED) or _SETTING.fullmatch(value) else REMOVED
    return value


def _named(name: str, value: Any) -> Any:
    if _NAMES_OF_PEOPLE_AND_PLACES.search(name) and isinstance(value, str | Mapping | list) and value:
        return REMOVED
    return _for_public(value)


def _differences(before: Any, after: Any, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is no longer as it was, by JSON pointer (RFC 6901) into what is shown: `value`, and `key` if changed."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for (key, value), (shown_key, shown) in zip(before.items(), after.items(), strict=True):
            place = f"{pointer}/{_escaped(str(shown_key))}"
            if key == shown_key:
                yield from _differences(value, shown, place)
            else:
                yield place, {"key": key, "value": value}
    elif isinstance(before, list) and isinstance(after, list):
        for index, (value, shown) in enumerate(zip(before, after, strict=True)):
            yield from _differences(value, shown, f"{pointer}/{index}")
    elif before != after:
        yield pointer, {"value": before}


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
