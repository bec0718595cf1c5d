"""`kiseki publish` shows first, sends on --yes, and says in one line what is wrong."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kiseki.cli.publish import _told
from kiseki.recorder import TrainingMetricsRecorder
from unit.kiseki.hub.hub_server import OWNER, HubServer, hub_of_this_test

Kiseki = Callable[..., Any]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    with hub_of_this_test(monkeypatch, tmp_path / "hf_home") as running:
        yield running


@pytest.fixture
def public(tmp_path: Path) -> Path:
    root = tmp_path / "public"
    config = {"poc": {"confidentiality": "public"}}
    recorder = TrainingMetricsRecorder(root, model_name="tiny", companion=False, save_plots=False, config=config)
    recorder.record_step(step=1, epoch=1.0, loss=1.0, learning_rate=1e-3)
    recorder.close()
    return root


def test_without_yes_nothing_is_sent(hub: HubServer, recorded: Path, kiseki: Kiseki) -> None:
    answer = kiseki("publish", recorded, "--repo-id", "org/tiny", "--lang", "en")
    assert (answer.code, answer.err) == (0, "")
    assert {call.method for call in hub.calls} == {"GET"}
    assert not hub.repositories
    assert "org/tiny (新規 / new)" in answer.out
    assert "metrics/training_metrics.csv" in answer.out
    assert "+## Success criteria and verdicts" in answer.out
    assert "--yes" in answer.out


def test_yes_uploads_what_was_shown(hub: HubServer, recorded: Path, kiseki: Kiseki) -> None:
    answer = kiseki("publish", recorded, "--repo-id", "org/tiny", "--yes")
    stored = hub.repositories["org/tiny"]
    assert (answer.code, answer.err, stored.private) == (0, "", True)
    shown = [line.split() for line in answer.out.splitlines() if line.startswith("  ")]
    there = {path: f"{len(content):,}" for path, content in stored.head.items() if path != ".gitattributes"}
    assert {words[0]: words[1] for words in shown[:-1]} == there
    assert f"{hub.endpoint}/org/tiny/commit/{stored.sha}" in answer.out


def test_the_same_again_says_that_nothing_has_changed(hub: HubServer, recorded: Path, kiseki: Kiseki) -> None:
    kiseki("publish", recorded, "--repo-id", "org/tiny", "--yes")
    again = kiseki("publish", recorded, "--repo-id", "org/tiny", "--yes")
    assert (again.code, again.err) == (0, "")
    assert "README.md: 変更なし / unchanged" in again.out
    assert "nothing was committed" in again.out
    assert len(hub.repositories["org/tiny"].commits) == 2


def test_the_card_is_shown_as_a_difference_from_the_one_that_stands_there(
    hub: HubServer, recorded: Path, kiseki: Kiseki
) -> None:
    hub.made("org/tiny", README__md="# Mine\n\x1b]0;steered\x07\n")
    answer = kiseki("publish", recorded, "--repo-id", "org/tiny")
    assert "--- README.md (org/tiny)" in answer.out
    assert "\n # Mine\n" in answer.out
    assert "\x1b" not in answer.out


def test_the_card_speaks_the_language_that_was_asked_for(hub: HubServer, recorded: Path, kiseki: Kiseki) -> None:
    assert "+## 記録の信頼性" in kiseki("publish", recorded, "--repo-id", "org/tiny", "--lang", "ja").out


def test_a_hub_that_is_not_there_is_a_warning_to_who_only_looks_and_an_error_to_who_uploads(
    hub: HubServer, recorded: Path, kiseki: Kiseki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    looked = kiseki("publish", recorded, "--repo-id", "org/tiny")
    assert looked.code == 0
    assert "http://127.0.0.1:9 cannot be reached" in looked.err
    assert "README.md" in looked.out
    sent = kiseki("publish", recorded, "--repo-id", "org/tiny", "--yes")
    assert sent.code == 2
    assert sent.err.startswith("kiseki: error: http://127.0.0.1:9 cannot be reached")
    assert sent.err.count("\n") == 1


@pytest.mark.parametrize(
    "name",
    [
        "tiny",
        "org/tiny/more",
        "datasets/org/tiny",
        "org/ti ny",
        "org/tiny--x",
        "https://huggingface.co/org/tiny",
        "org/-x",
    ],
)
def test_what_is_no_name_of_a_model_repository_is_refused(name: str, recorded: Path, kiseki: Kiseki) -> None:
    answer = kiseki("publish", recorded, "--repo-id", name)
    assert answer.code == 2
    assert "ORG/NAME" in answer.err
    assert answer.err.count("\n") == 1


def test_a_run_for_a_partner_is_not_made_public(hub: HubServer, recorded: Path, kiseki: Kiseki) -> None:
    answer = kiseki("publish", recorded, "--repo-id", "org/tiny", "--public", "--yes")
    assert answer.code == 2
    assert "poc.confidentiality: public" in answer.err
    assert not hub.calls


def test_a_public_run_is_private_unless_public_is_said(hub: HubServer, public: Path, kiseki: Kiseki) -> None:
    kiseki("publish", public, "--repo-id", "org/first", "--yes")
    kiseki("publish", public, "--repo-id", "org/second", "--yes", "--public")
    assert [stored.private for stored in hub.repositories.values()] == [True, False]


def test_a_card_that_cannot_be_read_is_left_alone(hub: HubServer, recorded: Path, kiseki: Kiseki) -> None:
    stored = hub.made("org/tiny", README__md="---\ntags: [a\n---\n")
    answer = kiseki("publish", recorded, "--repo-id", "org/tiny", "--yes")
    assert answer.code == 2
    assert "not valid YAML" in answer.err
    assert stored.head["README.md"] == b"---\ntags: [a\n---\n"


def test_a_process_of_its_own_takes_endpoint_and_token_from_the_environment(
    hub: HubServer, recorded: Path, tmp_path: Path
) -> None:
    program = "from kiseki.cli import commands, main\nfrom kiseki.cli.publish import publish\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", program, "publish", recorded, "--repo-id", "org/tiny", "--yes"],
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert {call.token for call in hub.calls if "agent-harnesses" not in call.path} == {OWNER}
    assert len(hub.repositories["org/tiny"].commits) == 2
    assert OWNER not in done.stdout


def test_what_takes_longer_than_a_moment_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with _told("uploading", after=0.0):
        until, said = time.monotonic() + 30, ""
        while "uploading" not in said and time.monotonic() < until:
            said += capfd.readouterr().err
            time.sleep(0.01)
    assert said == "uploading ...\n"


def test_what_is_quick_is_not_told(capfd: pytest.CaptureFixture[str]) -> None:
    with _told("asking", after=600.0):
        pass
    assert capfd.readouterr().err == ""
