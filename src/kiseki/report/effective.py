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
    asked = dict(_leaves(configured))
    last_names = Counter(name.rpartition(".")[2] for name in asked)
    by_last_name = {name.rpartition(".")[2]: name for name in asked}
    found = []
    for name, value in _leaves(live):
        last = name.rpartition(".")[2]
        asked_name = name if name in asked else by_last_name[last] if last_names[last] == 1 else None
        if asked_name is not None and asked[asked_name] != value:
            found.append(Difference(asked_name, asked[asked_name], value))
    return found


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        name = f"{prefix}{key}"
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{name}.")
        else:
            yield name, inner
