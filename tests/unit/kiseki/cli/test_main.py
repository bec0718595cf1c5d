"""The command line ends as it promises, and starts quickly."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from kiseki import cli
from kiseki.errors import JournalDamaged

Kiseki = Callable[..., Any]
COMMAND = [sys.executable, "-c", "from kiseki.cli import main; main()"]


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["report", "--help"], ["show", "-h"]])
def test_help_has_an_example(kiseki: Kiseki, words: list[str]) -> None:
    answer = kiseki(*words)
    assert (answer.code, answer.err) == (0, "")
    assert "Example:\n" in answer.out


def test_it_says_its_version(kiseki: Kiseki) -> None:
    from importlib.metadata import version

    assert kiseki("--version").out == f"kiseki {version('kiseki')}\n"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (JournalDamaged("line 3 is\nbroken"), 1, "line 3 is broken"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device", "x.json"), 2, "x.json: No space left on device"),
    ],
)
def test_what_goes_wrong_is_one_line_with_its_exit_code(
    kiseki: Kiseki, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: str
) -> None:
    @click.command()
    def fail() -> None:
        raise error

    monkeypatch.setitem(cli.commands.commands, "fail", fail)
    answer = kiseki("fail")
    assert (answer.code, answer.out) == (code, "")
    assert words in answer.err
    assert "kiseki: error: " in answer.err
    assert "Traceback" not in answer.err


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from kiseki.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(sorted({'numpy', 'matplotlib', 'rich', 'psutil'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
@pytest.mark.parametrize("command", ["show", "report"])
def test_a_reader_that_leaves_early_is_no_reason_for_a_traceback(recorded: Path, command: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    try:
        done = subprocess.run(
            [*COMMAND, command, str(recorded)], stdout=writing, stderr=subprocess.PIPE, text=True, env=environment
        )
    finally:
        os.close(writing)
    assert done.stderr == ""
    assert done.returncode in (0, 128 + signal.SIGPIPE)
