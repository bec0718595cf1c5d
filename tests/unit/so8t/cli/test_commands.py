"""The way into so8t: help that is quick, errors that are one line, exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

import so8t.cli
from kiseki import RunLocked
from so8t.cli import commands, run
from so8t.errors import JobFailed, ModelError

EXAMPLES = Path(__file__).parents[4] / "examples" / "data"
COMMANDS = (["--help"], ["bake", "--help"], ["train", "--help"], ["data", "--help"], ["data", "validate", "--help"])


@pytest.mark.parametrize("words", COMMANDS)
def test_every_help_has_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 0
    shown = capsys.readouterr().out
    assert "Example:" in shown or words == ["data", "--help"]
    assert shown.startswith("Usage: so8t")


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "train" in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["cp932", "latin-1"])
def test_what_the_terminal_cannot_write_is_no_traceback(tmp_path: Path, encoding: str) -> None:
    sample = tmp_path / "한국어.jsonl"
    sample.write_bytes((EXAMPLES / "quadruple_thinking_eval.jsonl").read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", "import sys, so8t.cli; so8t.cli.main(sys.argv[1:])", "data", "validate", str(sample)],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert b"\\ud55c" in done.stdout  # it is told by its code


def test_help_and_import_load_nothing_heavy() -> None:
    source = (
        "import sys, so8t, so8t.cli\n"
        "assert so8t.cli.run(['train', '--help']) == 0\n"
        "heavy = {'torch', 'transformers', 'peft', 'matplotlib', 'rich'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", source], check=True, stdout=subprocess.DEVNULL, timeout=60)


def test_the_specified_options_exist() -> None:
    names = {option for parameter in commands.commands["train"].params for option in parameter.opts}
    assert {"--config", "--model-path", "--dataset", "--output-dir", "--resume-from-checkpoint"} <= names


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ModelError("no model at x:\nname one"), 2, "so8t: error: no model at x: name one"),
        (JobFailed("training failed"), 1, "so8t: error: training failed"),
        (RunLocked("in use"), 2, "so8t: error: in use"),
        (click.UsageError("no such option"), 2, "so8t: error: no such option (see: so8t fail --help)"),
        (click.ClickException("wrong"), 2, "so8t: error: wrong"),
        (KeyboardInterrupt(), 130, "so8t: error: interrupted"),
        (ModelError("bad \x1b[31mname"), 2, "so8t: error: bad  [31mname"),
    ],
)
def test_an_error_is_one_line_and_a_code(
    error: BaseException, code: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = click.Command("fail", callback=lambda: (_ for _ in ()).throw(error))
    monkeypatch.setitem(so8t.cli.commands.commands, "fail", command)
    assert run(["fail"]) == code
    out, err = capsys.readouterr()
    assert (out, err.lstrip("\n")) == ("", f"{line}\n"), "click ends the line that ^C stands in"


def test_a_mistake_in_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(so8t.cli.commands.commands, "fail", click.Command("fail", callback=broken))
    with pytest.raises(ZeroDivisionError):
        run(["fail"])


def test_data_validate_is_there_with_its_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = Path(__file__).parents[4] / "examples" / "data" / "quadruple_thinking_eval.jsonl"
    assert run(["data", "validate", str(sample)]) == 0
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\n", encoding="utf-8")
    assert run(["data", "validate", str(bad)]) == 1
    assert run(["data", "validate", str(tmp_path / "none.jsonl")]) == 2
    assert "line 1" in capsys.readouterr().out


def test_the_trainer_is_exported_lazily() -> None:
    import so8t as package

    assert package.__all__ == ["SO8TPETTrainer"]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing
