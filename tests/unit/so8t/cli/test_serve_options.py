"""Options of `so8t serve` that exclude each other."""

from pathlib import Path

import pytest

from so8t.cli import run


@pytest.mark.parametrize("options", [["--allow-unjudged"], ["--no-safety-model", "--safety-model", "x"]])
def test_options_that_contradict_each_other_are_refused_before_a_key_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["serve", "--model", ".", *options]) == 2
    assert "safety-model" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
