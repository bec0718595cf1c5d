"""Takes secrets, paths and names of people and machines out of what leaves the house.

Two ways to be recognised: by name (the key or option is called `password`) and by shape (the text looks like an
access token). Where it is unclear, more is removed rather than less. Numbers are never secrets, nor are tables of them:
`max_tokens` stays, and so do the statistics of a metric, whatever it is called.
"""

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REMOVED = "[redacted]"

_SECRET_WORDS = (
    "password|passwd|passphrase|secret|api_?key|access_?key|private_?key|signing_?key|encryption_?key|account_?key"
    "|credentials?|authorization|bearer|cookie"
)
# `token` only as the last word: `token_weighting` is a setting.
_SECRET_NAME = re.compile(rf"(?:^|[_.\-\s])(?:(?:{_SECRET_WORDS})s?(?:$|[_.\-\s])|tokens?$)", re.IGNORECASE)
_TEXT_TOKEN_NAME = re.compile(
    r"(?:^|_)(?:pad|eos|bos|unk|sep|cls|mask|stop|image|special)_tokens?(?:$|_)", re.IGNORECASE
)
_TEXT_TOKEN = re.compile(r"[<\[].*[>\]]", re.DOTALL)
_COUNTED_NAME = re.compile(r"tokens?$", re.IGNORECASE)
_NUMBER = re.compile(
    r"[(\[{<>=~]*[+-]?(?:[\d.][\d._]*(?:e[+-]?\d+)?|true|false|null|none|nan|infinity)[)\]}]*", re.IGNORECASE
)

_SECRET_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\b(?:Bearer|Basic)\s+[A-Za-z0-9+/_.=~-]{8,}"
    r"|\bhf_[A-Za-z0-9]{10,}"
    r"|\bapi_org_[A-Za-z0-9]{10,}"
    r"|\b(?:sk|pk|rk)-[A-Za-z0-9_-]{12,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{16,}"
    r"|\bgithub_pat_[A-Za-z0-9_]{16,}"
    r"|\bglpat-[A-Za-z0-9_-]{16,}"
    r"|\bnpm_[A-Za-z0-9]{30,}"
    r"|\bpypi-[A-Za-z0-9_-]{40,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bAIza[0-9A-Za-z_-]{30,}"
    r"|\bxox[abeoprs]-[A-Za-z0-9-]{10,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    re.DOTALL,
)
_URL_USER = re.compile(r"(?<=://)[^\s/@]+@")
_ASSIGNMENT = re.compile(
    r"(?<![A-Za-z_])(?P<name>[A-Za-z_][\w.-]*)(?P<sign>[\"']?\s*[=:]\s*)(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;&]+)"
)
_OPTION = re.compile(r"(?P<name>--?[A-Za-z][\w-]*)(?P<sign>\s+)(?P<value>\"[^\"]*\"|'[^']*'|[^\s-]\S*)")

_NAME_WITH_SPACES = r"[^\\/\s\"'<>|:]+(?: [^\\/\s\"'<>|:]+){0,3}"
_HOME = re.compile(
    rf"(?<![\w.~])(?:[A-Za-z]:)?(?:[\\/]+)(?:Users|home|Documents and Settings)[\\/]+"
    rf"(?:{_NAME_WITH_SPACES}(?=[\\/])|[^\\/\s\"'<>|:,;]+)",
    re.IGNORECASE,
)
_WINDOWS_PATH = re.compile(
    r"(?<![\w.])(?:[A-Za-z]:[\\/]+|\\\\)(?:[^\\/:*?\"<>|\r\n]+[\\/]+)*(?P<last>[^\\/:*?\"<>|\s,;]*)"
)
_POSIX_PATH = re.compile(r"(?<![\w.~/\\>-])(?:file://)?/(?:[^/\s\"'<>|:,;]+/+)+(?P<last>[^/\s\"'<>|:,;]*)")
_WHOLE_POSIX_PATH = re.compile(r"(?:file://)?/[^\r\n]+/(?P<last>[^/\r\n]+)/*")

_NOBODY = {"root", "user", "admin", "administrator", "ubuntu", "runner", "localhost", "home", "jovyan", "docker"}


@dataclass(frozen=True, slots=True)
class Redactor:
    """Removes what nobody else may see.

    Args:
        home: the home folder of whoever trains, empty when unknown.
        names: user and host names to take out wherever they stand as a word.
        root: the run folder; paths below it become relative to it.

    Example:
        >>> redactor = Redactor(home="/srv/people/taro", names=("taro", "gpu-07"))
        >>> redactor.text("python /srv/job/train.py --hf-token hf_abcdefghijklmnop on gpu-07")
        'python train.py --hf-token [redacted] on <name>'
        >>> redactor.value({"model_path": r"D:\\models\\Borea-phi35", "api_key": "x", "pad_token": "<pad>"})
        {'model_path': 'Borea-phi35', 'api_key': '[redacted]', 'pad_token': '<pad>'}
    """

    home: str = ""
    names: tuple[str, ...] = ()
    root: str = ""

    @classmethod
    def of_this_machine(cls, root: Path | None = None) -> "Redactor":
        """The one that knows this machine's user and host."""
        environment = os.environ
        users = {environment.get(name, "") for name in ("USER", "USERNAME", "LOGNAME")}
        host = platform.node()
        names = {*users, host, host.split(".")[0]}
        known = sorted((name for name in names if len(name) > 2 and name.lower() not in _NOBODY), key=len, reverse=True)
        try:
            home = str(Path.home())
        except RuntimeError:  # there is no home folder to find
            home = ""
        return cls(home, tuple(known), "" if root is None else str(root.absolute()))

    def value(self, value: Any) -> Any:
        """The same JSON value with every text, key and list item looked at."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
            return self._list(value)
        return value

    def text(self, text: str) -> str:
        """One text without secrets, paths and names."""
        # again while something goes: a path that went may have stood in the middle of a secret
        while (cleaned := self._without_paths(_without_secrets(text))) != text:
            text = cleaned
        for name in self.names:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", "<name>", text, flags=re.IGNORECASE)
        return text

    def _mapping(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        cleaned: dict[str, Any] = {}
        for key, item in value.items():
            shown = short = self.text(str(key))
            number = 1
            while shown in cleaned:  # two paths can have the same last component
                number += 1
                shown = f"{short} ({number})"
            secret = _is_secret_name(str(key)) or _is_secret_name(short)
            cleaned[shown] = self._secret(short, item) if secret else self.value(item)
        return cleaned

    def _secret(self, name: str, value: Any) -> Any:
        """What stands under a name that secrets have."""
        if not value or _holds_numbers(name, value):
            return self.value(value)
        return value if _is_text_token(value) else REMOVED

    def _list(self, items: Sequence[Any]) -> list[Any]:
        cleaned: list[Any] = []
        after_secret_option = False
        for item in items:
            shown = REMOVED if after_secret_option and isinstance(item, str) else self.value(item)
            cleaned.append(shown)
            after_secret_option = isinstance(item, str) and (_is_secret_option(item) or _is_secret_option(shown))
        return cleaned

    def _without_paths(self, text: str) -> str:
        for known, inside, itself in ((self.root, "", "."), (self.home, "~/", "~")):
            if len(known) > 3:  # not `/`, not a bare drive
                text = re.sub(rf"(?<![\w.]){re.escape(known)}[\\/]+(?=\w)", inside, text)
                text = re.sub(rf"(?<![\w.]){re.escape(known)}(?![\w.-])", itself, text)
        text = _HOME.sub("~", text)
        text = _WINDOWS_PATH.sub(r"\g<last>", text)
        whole = _WHOLE_POSIX_PATH.fullmatch(text)
        if whole and not re.search(r"\s[-/]", text):
            return whole["last"]
        return _POSIX_PATH.sub(r"\g<last>", text)


def _is_secret_name(name: str) -> bool:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.lstrip("-"))
    return _SECRET_NAME.search(snake) is not None and _TEXT_TOKEN_NAME.search(snake) is None


def _is_secret_option(word: str) -> bool:
    return word.startswith("-") and "=" not in word and _is_secret_name(word)


def _is_text_token(value: object) -> bool:
    """Whether it is a tokenizer's special token such as `<|end|>`, or several of them."""
    if isinstance(value, str):
        return _TEXT_TOKEN.fullmatch(value) is not None
    if isinstance(value, Mapping):
        return all(_is_text_token(item) for item in value.values())
    return isinstance(value, Sequence) and all(_is_text_token(item) for item in value)


def _holds_numbers(name: str, value: object) -> bool:
    """Whether it is a number, as a row writes it, or a table of numbers.

    A list of numbers is one of token ids where its name says tokens; elsewhere it can be the bytes of a key.
    """
    if isinstance(value, Mapping):
        return all(_holds_numbers(name, item) for item in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return _COUNTED_NAME.search(name) is not None and all(_holds_numbers(name, item) for item in value)
    return not isinstance(value, str | bytes | bytearray) or value in ("NaN", "Infinity", "-Infinity")


def _without_secrets(text: str) -> str:
    text = _SECRET_SHAPES.sub(REMOVED, text)
    text = _URL_USER.sub(f"{REMOVED}@", text)
    text = _ASSIGNMENT.sub(_without_secret, text)
    return _OPTION.sub(_without_secret, text)


def _without_secret(match: re.Match[str]) -> str:
    value = match["value"]
    if not _is_secret_name(match["name"]) or _NUMBER.fullmatch(value) or _is_text_token(value.strip("\"'")):
        return match[0]
    return f"{match['name']}{match['sign']}{REMOVED}"
