"""From a YAML file to the checked settings of one training run.

`load_config` reads the file (`config_file`), moves old names and refuses what has no meaning here
(`config_retired`), applies the command line's values, converts to the typed sections (`config_keys`) and has
checked what only several keys together can show (`config_checks`). Every error names the file, the line and the
dotted key, and says what to do.

Two habits of YAML 1.1 are mended where the types are known: ``2e-4``, a string to PyYAML because it has no
decimal point, is taken as a number in a number's place; ``no``, false to PyYAML, as the word where one is expected.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import msgspec

from so8t.errors import ConfigError
from so8t.training.config_checks import keys_without_effect, problems_between_keys
from so8t.training.config_file import ConfigFile, read_config_file
from so8t.training.config_keys import Config
from so8t.training.config_retired import ConflictingKeys, refused_keys, take_over_old_names

__all__ = ["Config", "LoadedConfig", "load_config"]

_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_PATH_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")

_ONLY_ONE_CHOICE = {
    "training.report_to": "kiseki writes the record, other trackers are not attached",
    "qlora.task_type": "this trainer trains causal language models",
}
"""Key with a single accepted value -> why there is no other."""

_PLAIN_WORDS = {
    r"^Expected": "expected",
    r"str matching regex .*": "a name of letters, digits and _ . / - that starts with a letter",
    r"\bint\b": "a whole number",
    r"\bfloat\b": "a number",
    r"\bstr\b": "text",
    r"\bbool\b": "true or false",
    r"\barray\b": "a list",
    r"\bobject\b": "keys below it",
    r" \| null$": "",
    r" \| ": " or ",
}
"""Words of msgspec's messages (patterns) -> the words of this file's readers."""


class LoadedConfig(NamedTuple):
    """The settings of one run and what there is to say about them.

    Attributes:
        config: The effective settings.
        messages: One sentence for each old name taken over and each key without effect, for the console.
        path: The file they were read from.
    """

    config: Config
    messages: list[str]
    path: Path


def load_config(path: str | Path, overrides: Mapping[str, object] | None = None) -> LoadedConfig:
    """Read and check a configuration file.

    Args:
        path: The YAML file.
        overrides: Dotted key -> value that wins over the file's, as the command line gives them
            (``{"model.base_model": "models/tiny-phi3"}``); None values are skipped.

    Returns:
        The settings with every default filled in, and messages for the console.

    Raises:
        ConfigError: Anything wrong with the file, a key, a value or a combination of them.
    """
    file = read_config_file(Path(path))
    settings = file.settings
    _refuse(file)
    try:
        messages = take_over_old_names(settings)
    except ConflictingKeys as error:
        raise ConfigError(f"{file.where(error.old)} {error}: keep only {error.new}") from error
    for key, value in (overrides or {}).items():
        if value is not None:
            section, name = key.split(".")
            settings.setdefault(section, {})[name] = value
    _know_every_key(file, Config, settings, "")
    config = _convert(file, _fit(settings, Config))
    given = {f"{section}.{key}" for section, keys in settings.items() for key in keys}
    for key, problem in problems_between_keys(config, given):
        raise ConfigError(f"{file.where(key)} {problem}")
    return LoadedConfig(_with_output_dir(config), messages + list(keys_without_effect(config, given)), file.path)


def _refuse(file: ConfigFile) -> None:
    refused = list(refused_keys(file.settings))
    if refused:
        name, reason = refused[0]
        others = ", ".join(other for other, _ in refused[1:])
        also = f" (and {others}, likewise refused)" if others else ""
        raise ConfigError(f"{file.where(name)} is not accepted: {reason}; remove it{also}")


def _know_every_key(file: ConfigFile, expected: type, value: object, path: str) -> None:
    """Refuse the first key that no section knows, with the nearest name that one does."""
    expected = _bare(expected)
    if get_origin(expected) is list and isinstance(value, list):
        for index, item in enumerate(value):
            _know_every_key(file, get_args(expected)[0], item, f"{path}[{index}]")
    if not _is_section(expected) or not isinstance(value, dict):
        return
    types = {field.name: field.type for field in msgspec.structs.fields(expected)}
    for key, inner in value.items():
        here = f"{path}.{key}".lstrip(".")
        if key not in types:
            suggestion = _nearest(path, str(key), list(types))
            raise ConfigError(f"{file.where(here)} is unknown; {suggestion}")
        _know_every_key(file, types[key], inner, here)


def _nearest(path: str, key: str, siblings: list[str]) -> str:
    """Advice naming the likeliest key meant: the same word in another section, or the nearest spelling."""
    elsewhere = [
        f"{section.name}.{key}"
        for section in msgspec.structs.fields(Config)
        if path and any(field.name == key for field in msgspec.structs.fields(section.type))
    ]
    near = difflib.get_close_matches(key, siblings, n=1, cutoff=0.0)
    best = elsewhere[0] if elsewhere else f"{path}.{near[0]}".lstrip(".")
    return f"the nearest known key is {best}: correct or remove it"


def _convert(file: ConfigFile, settings: dict[str, Any]) -> Config:
    try:
        return msgspec.convert(settings, Config)
    except msgspec.ValidationError as error:
        expectation, _, place = str(error).partition(" - at ")
        steps = [name or int(index) for name, index in _PATH_STEP.findall(place)]
        raise ConfigError(_wrong_value(file, settings, steps, expectation)) from error


def _wrong_value(file: ConfigFile, settings: dict[str, Any], steps: list[str | int], expectation: str) -> str:
    """The sentence about the value at the end of `steps`: expected what, got what."""
    value: Any = settings
    expected: Any = Config
    key = ""
    for step in steps:
        value = value[step]
        if isinstance(step, int):
            expected, key = _item_type(expected), f"{key}[{step}]"
        else:
            fields = msgspec.structs.fields(_bare(expected))
            expected = next(field.type for field in fields if field.name == step)
            key = f"{key}.{step}".lstrip(".")
    if expectation.startswith("Object missing"):
        lacking = expectation.removeprefix("Object missing required field").strip(" `")
        return f"{file.where(key)} lacks {lacking}: add it"
    bare = _bare(expected)
    if get_origin(bare) is Literal:
        words = [str(choice) for choice in get_args(bare)]
        likely = difflib.get_close_matches(str(value), words, n=1)
        hint = f" (did you mean {likely[0]}?)" if likely else ""
        hint += f": {_ONLY_ONE_CHOICE[key]}" if key in _ONLY_ONE_CHOICE else ""
        return f"{file.where(key)}: expected one of {', '.join(words)}, got {_shown(value)}{hint}"
    expectation = re.sub(r", got `.*`$", "", expectation).replace("`", "")
    for pattern, plain in _PLAIN_WORDS.items():
        expectation = re.sub(pattern, plain, expectation)
    return f"{file.where(key)}: {expectation}, got {_shown(value)}: correct the value"


def _shown(value: object) -> str:
    """A value as the file's author would write it, with its kind where that is what may be wrong."""
    if isinstance(value, bool | NoneType):
        return {True: "true", False: "false", None: "null"}[value]
    return f"the text {value!r}" if isinstance(value, str) else f"{value!r}"


def _fit(value: Any, expected: Any) -> Any:
    """`value` with YAML 1.1's misreadings mended where `expected` shows that they are ones."""
    expected = _bare(expected)
    if _is_section(expected) and isinstance(value, dict):
        types = {field.name: field.type for field in msgspec.structs.fields(expected)}
        return {key: _fit(inner, types[key]) for key, inner in value.items()}
    if get_origin(expected) is list and isinstance(value, list):
        return [_fit(item, get_args(expected)[0]) for item in value]
    if expected is float and isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    if get_origin(expected) is Literal and value is False and "no" in get_args(expected):
        return "no"
    return value


def _bare(expected: Any) -> Any:
    """A type without its constraints and without `None`."""
    while True:
        if get_origin(expected) is Annotated:
            expected = get_args(expected)[0]
        elif isinstance(expected, UnionType) or type(None) in get_args(expected):
            expected = next(option for option in get_args(expected) if option is not NoneType)
        else:
            return expected


def _item_type(expected: Any) -> Any:
    """What the list in `expected` holds, be it the type itself or an option of a union; None where there is none."""
    if get_origin(expected) is list:
        return get_args(expected)[0]
    inner = get_args(expected)[:1] if get_origin(expected) is Annotated else get_args(expected)
    return next((found for option in inner if (found := _item_type(option)) is not None), None)


def _is_section(expected: Any) -> bool:
    return isinstance(expected, type) and issubclass(expected, msgspec.Struct)


def _with_output_dir(config: Config) -> Config:
    if config.training.output_dir is not None:
        return config
    # Joined with "/", not by the machine's rules: the effective settings read the same on every system.
    folder = f"{(config.pipeline.base_output_dir or '').rstrip('/')}/{config.pipeline.model_name}"
    training = msgspec.structs.replace(config.training, output_dir=folder)
    return msgspec.structs.replace(config, training=training)
