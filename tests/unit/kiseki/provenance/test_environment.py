"""The machine and the software are described without waiting and without raising."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from kiseki.provenance import environment
from kiseki.provenance.environment import UNKNOWN, describe_environment


def test_it_says_what_this_process_runs_on() -> None:
    described = describe_environment()
    assert described["python"]["version"] == platform.python_version()
    assert described["cpu"]["count"] == os.cpu_count()
    assert described["memory_bytes"] > 1 << 26
    assert described["packages"]["msgspec"] == importlib.metadata.version("msgspec")
    assert "not-installed" not in described["packages"]


def test_it_is_plain_json() -> None:
    described = describe_environment()
    assert json.loads(json.dumps(described, allow_nan=False)) == described


def test_nothing_is_empty_or_null() -> None:
    def leaves(value: object) -> list[object]:
        if isinstance(value, dict):
            return [leaf for inner in value.values() for leaf in leaves(inner)]
        return [value]

    described = describe_environment()
    described.pop("variables")
    assert all(leaf not in (None, "") for leaf in leaves(described)), described


def test_the_command_line_holds_no_secret_and_no_home(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import json; from kiseki.provenance.environment import describe_environment as d; print(json.dumps(d()))",
        encoding="utf-8",
    )
    words = [sys.executable, str(script), "--hf-token", "hunter2", "--out", "/home/suzuki/x", b"\xff\xfe"]
    done = subprocess.run(words, check=True, capture_output=True, cwd=tmp_path)
    command = json.loads(done.stdout.decode("utf-8"))["command"]
    assert command[1:5] == ["train.py", "--hf-token", "[redacted]", "--out"]
    assert command[5] == "~/x"
    assert str(tmp_path) not in str(command)


def test_other_environment_variables_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("MY_PRIVATE_THING", "hunter2")
    described = describe_environment()
    assert described["variables"]["PYTHONHASHSEED"] == "7"
    assert "hunter2" not in json.dumps(described)


def test_torch_is_asked_only_when_it_is_loaded_already() -> None:
    code = (
        "import sys; from kiseki.provenance.environment import describe_environment as d; e = d(); "
        "print(e['cuda'], 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == [UNKNOWN, "False", "False"]


def test_a_missing_probe_is_unknown_and_raises_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(environment, "PACKAGES", ("no-such-distribution",))
    described = describe_environment(tmp_path)
    assert (described["memory_bytes"], described["gpus"], described["gpu_driver"]) == (UNKNOWN,) * 3
    assert (described["git"], described["packages"]) == (UNKNOWN, {})


def test_a_folder_that_is_gone_is_unknown(tmp_path: Path) -> None:
    assert describe_environment(tmp_path / "gone")["git"] == UNKNOWN
