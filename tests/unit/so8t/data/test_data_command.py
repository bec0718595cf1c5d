"""`so8t data validate` as a person uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from so8t.cli.data import data

Row = dict[str, Any]


def validate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(data, ["validate", *map(str, arguments)])


@pytest.fixture
def bad_file(make_row: Callable[..., Row], write_rows: Callable[..., Path]) -> Path:
    rows = [make_row(), {**make_row(final="x"), "final": ""}, "{torn", {**make_row(), "safety_label": "OK"}]
    return write_rows(*rows, name="bad.jsonl")


def test_a_good_file_is_counted_and_ends_with_0(make_row: Callable[..., Row], write_rows: Callable[..., Path]) -> None:
    result = validate(write_rows(make_row(), make_row(language="en", final="Yes.", safety_label="REFUSE")))
    assert result.exit_code == 0
    assert "2 good rows, 0 bad rows" in result.output
    assert "ALLOW 1  REFUSE 1" in result.output
    assert "en 1  ja 1" in result.output


def test_every_bad_row_is_named_by_line_and_field_and_the_answer_is_1(bad_file: Path) -> None:
    result = validate(bad_file)
    assert result.exit_code == 1
    assert "1 good row, 3 bad rows" in result.output
    for start in ("line 2: final: is blank", "line 2: id: ", "line 3: is not one JSON", "line 4: safety_label: "):
        assert start in result.output


def test_max_problems_limits_what_is_shown_and_says_so(bad_file: Path) -> None:
    result = validate(bad_file, "--max-problems", "1")
    assert result.exit_code == 1
    assert result.output.count("  line ") == 1
    assert "and 4 more problems" in result.output


def test_a_missing_file_is_2_and_the_others_are_still_checked(bad_file: Path) -> None:
    result = validate(bad_file.with_name("none.jsonl"), bad_file)
    assert result.exit_code == 2
    assert result.stderr == f"so8t: error: {bad_file.with_name('none.jsonl')} does not exist: check the path\n"
    assert "3 bad rows" in result.stdout


def test_json_holds_the_same_for_machines(bad_file: Path) -> None:
    result = validate("--json", bad_file, bad_file.with_name("none.jsonl"))
    found, missing = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 2
    assert (found["good_rows"], found["bad_rows"], found["problems_found"]) == (1, 3, 5)
    assert {problem["line"] for problem in found["problems"]} == {2, 3, 4}
    assert found["labels"] == {"ALLOW": 1}
    assert "does not exist" in missing["error"]


def test_no_file_is_wrong_use_and_help_shows_an_example() -> None:
    assert validate().exit_code == 2
    assert "so8t data validate examples/data" in validate("--help").output


def test_checking_data_loads_no_torch() -> None:
    code = "import sys, so8t.cli.data; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
