"""What the configuration says against what the live model really has."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that is not what was asked for."""

    name: str
    config: Any
    live: Any


def differences(configured: Mapping[str, Any], live: Mapping[str, Any]) -> list[Difference]:
    """Settings that both sides name and that differ.

    A live value is compared with the setting of the same dotted name, or else with the only setting whose last name
    is the same.

    Args:
        configured: what was asked for, nested as it came.
        live: what training found in the model and the optimizer, nested as it came.

    Example:
        >>> differences({"so8t": {"layers": 32, "init": "zero"}}, {"layers": 31, "trainable": 5})
        [Difference(name='so8t.layers', config=32, live=31)]
    """
    asked = dict(leaves(configured))
    last_names = Counter(name.rpartition(".")[2] for name in asked)
    by_last_name = {name.rpartition(".")[2]: name for name in asked}
    found = []
    for name, value in leaves(live):
        last = name.rpartition(".")[2]
        asked_name = name if name in asked else by_last_name[last] if last_names[last] == 1 else None
        if asked_name is not None and asked[asked_name] != value:
            found.append(Difference(asked_name, asked[asked_name], value))
    return found


def leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting under its dotted name; lists and empty mappings are values.

    Example:
        >>> list(leaves({"pet": {"enabled": True}, "seed": 42}))
        [('pet.enabled', True), ('seed', 42)]
    """
    if isinstance(value, Mapping) and (value or not prefix):
        for key, inner in value.items():
            yield from leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value
