"""Reading a YAML configuration file into plain values, strictly, with the line of every key.

PyYAML reads YAML 1.1 and keeps the last of two equal keys; here equal keys are an error. Two of its habits remain
and are dealt with where the types are known (`so8t.training.config`): ``2e-4`` is a string, and ``no`` is false.
"""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from so8t.errors import ConfigError

# PyYAML lets some of its own accidents out: `!!bool x` ends in a KeyError, `!!timestamp x` in an AttributeError.
_PARSER_ERRORS = (yaml.YAMLError, ValueError, KeyError, AttributeError, TypeError)


class ConfigFile(NamedTuple):
    """What stands in a configuration file.

    Attributes:
        path: The file.
        settings: Section -> key -> value; a section without keys is empty.
        lines: Dotted key -> line number, counted from 1.
    """

    path: Path
    settings: dict[str, Any]
    lines: dict[str, int]

    def where(self, key: str) -> str:
        """File, line (of the key, or of the nearest key above it) and dotted key, for a message."""
        known = key
        while known and known not in self.lines:
            known = known.rpartition(".")[0]
        line = f", line {self.lines[known]}" if known else ""
        return f"{self.path}{line}: {_on_one_line(key)}"


def _on_one_line(key: str) -> str:
    """A key as it may stand in a one-line message: line breaks and control characters escaped."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in key)


def read_config_file(path: Path) -> ConfigFile:
    """Read one YAML file.

    Raises:
        ConfigError: No file, a folder, not UTF-8, not YAML, equal keys, or not sections of keys.
    """
    text = _read_text(path)
    lines: dict[str, int] = {}
    try:
        settings = _parse(path, text, lines)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_describe(path, error)) from error
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply: write sections with keys below") from None
    except _PARSER_ERRORS as error:
        problem = str(error).replace("\n", " ")
        raise ConfigError(f"{path}: cannot be read as YAML: {problem}; correct the file") from error
    return ConfigFile(path, _sections(path, settings), lines)


def _parse(path: Path, text: str, lines: dict[str, int]) -> object:
    """The value of the one document in `text`; fills `lines`."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _note_lines(path, node, "", lines, ())
        value: object = loader.construct_document(node)
        return value
    finally:
        loader.dispose()


def _read_text(path: Path) -> str:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder, not a configuration file: name the YAML file in it")
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"no configuration file at {path}: check the path given to --config") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: not UTF-8 text: save the file as UTF-8") from None
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"{path} cannot be read: {reason}; make it readable") from error


def _describe(path: Path, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    advice = "correct the file"
    problem = error.problem or error.context or "not YAML"
    if "escape" in problem:
        advice = 'write Windows paths without quotes or in single quotes: in "..." a backslash starts an escape'
    elif "'\\t'" in problem:
        advice = "indent with spaces, not tabs"
    return f"{path}{place}: cannot be read as YAML: {problem}; {advice}"


def _note_lines(path: Path, node: yaml.Node, prefix: str, lines: dict[str, int], above: tuple[yaml.Node, ...]) -> None:
    """Note the line of every key below `node`; refuse equal keys and an anchor that contains itself."""
    if any(node is other for other in above):
        raise ConfigError(f"{path}, line {node.start_mark.line + 1}: an alias refers to what it stands in")
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[f"{prefix}[{index}]"] = item.start_mark.line + 1
            _note_lines(path, item, f"{prefix}[{index}]", lines, (*above, node))
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            name = str(key.value)
            if name in seen:
                dotted = f"{prefix}.{name}".lstrip(".")
                raise ConfigError(
                    f"{path}: {_on_one_line(dotted)} stands twice, in line {seen[name]} and {line}: keep one"
                )
            seen[name] = line
            inner = f"{prefix}.{name}".lstrip(".")
            lines.setdefault(inner, line)
            _note_lines(path, value, inner, lines, (*above, node))


def _sections(path: Path, settings: object) -> dict[str, Any]:
    if not settings:
        raise ConfigError(f"{path} is empty: start from a copy of configs/demo.yaml")
    if not isinstance(settings, dict):
        kind = type(settings).__name__
        raise ConfigError(f"{path}: expected sections such as 'training:' with keys below, got a {kind}")
    sections: dict[str, Any] = {}
    for name, keys in settings.items():
        if not isinstance(name, str):
            raise ConfigError(f"{path}: {name!r} is no section name: names are text")
        if not isinstance(keys, dict | None):
            raise ConfigError(f"{path}: {_on_one_line(name)}: expected keys below it, got {keys!r}: indent its keys")
        for key in keys or ():
            if not isinstance(key, str):
                raise ConfigError(f"{path}: {_on_one_line(name)}: {key!r} is no key: keys are text")
        sections[name] = keys or {}
    return sections
