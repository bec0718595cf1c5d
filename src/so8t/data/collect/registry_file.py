"""The YAML file of a source registry: its values, and where each of them stands, for messages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from so8t.errors import DataError

# PyYAML lets some of its own accidents out: `!!bool x` ends in a KeyError, `!!timestamp x` in an AttributeError.
_PARSER_ERRORS = (yaml.YAMLError, ValueError, KeyError, AttributeError, TypeError, RecursionError)


class RegistryError(DataError):
    """The source registry cannot be read or says something that cannot be."""


class RegistryFile(NamedTuple):
    """What stands in a registry's file.

    Attributes:
        path: the file.
        keys: what the keys at its beginning hold.
        root: the parsed text, which knows its lines.
    """

    path: Path
    keys: dict[Any, Any]
    root: yaml.Node

    def where(self, steps: Sequence[str | int]) -> str:
        """File and line of what keys and indices lead to, or of the nearest thing above it.

        Args:
            steps: from the beginning, for example `["sources", 0, "tier"]`.
        """
        node, line = self.root, self.root.start_mark.line
        for step in steps:
            below = _below(node, step)
            if below is None:
                break
            node, line = below
        return f"{self.path}, line {line + 1}"


def read_registry_file(path: Path) -> RegistryFile:
    """Read a registry's file.

    Raises:
        RegistryError: there is no such file, it is not UTF-8 or not YAML, a key stands twice, or there are no keys; the
            message is one line and names the place.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise RegistryError(f"no source registry at {path}: check the path given to --sources") from None
    except UnicodeDecodeError:
        raise RegistryError(f"{path} is not UTF-8 text: save the registry as UTF-8") from None
    except OSError as error:
        raise RegistryError(f"{path} cannot be read: {error.strerror or error}; name a YAML file") from None
    try:
        root, content = _parse(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise RegistryError(f"{path}{place}: {error.problem or 'not YAML'}; correct the registry") from None
    except _PARSER_ERRORS as error:
        what = " ".join(str(error).split())[:200]
        raise RegistryError(f"{path}: cannot be read as YAML: {what}; correct the registry") from None
    if root is None or not isinstance(content, dict):
        raise RegistryError(f"{path} holds no keys: write contact and sources, as so8t collect --help shows")
    return RegistryFile(path, content, root)


def _parse(text: str) -> tuple[yaml.Node | None, Any]:
    loader = _UniqueKeys(text)
    try:
        root = loader.get_single_node()
        return root, None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()


class _UniqueKeys(yaml.SafeLoader):
    """Refuses equal keys, of which PyYAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.MarkedYAMLError(problem=f"key {name!r} stands twice", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


def _below(node: yaml.Node, step: str | int) -> tuple[yaml.Node, int] | None:
    """What a key or an index leads to, and its line; None where that is not written here (an alias, a merged key)."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        item = node.value[step]
        return item, item.start_mark.line
    if isinstance(node, yaml.MappingNode):
        return next(((value, key.start_mark.line) for key, value in node.value if key.value == step), None)
    return None
