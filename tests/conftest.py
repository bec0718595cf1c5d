"""Fixtures of all tests."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from support import ToldClock, strict_json

# a shared machine stalls now and then; what is tested is the rule, not the time an example takes
settings.register_profile("kiseki", deadline=None)
settings.load_profile("kiseki")


@pytest.fixture
def clock() -> ToldClock:
    return ToldClock()


@pytest.fixture
def read_json() -> Callable[[Path], Any]:
    return lambda path: strict_json(path.read_bytes())


@pytest.fixture
def read_csv() -> Callable[[Path], list[dict[str, str]]]:
    def read(path: Path) -> list[dict[str, str]]:
        with path.open(encoding="utf-8", newline="") as table:
            return list(csv.DictReader(table))

    return read
