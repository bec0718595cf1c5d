"""Safety heads from training to `/think`: trained on a run, asked by the server, carried along by `so8t bake`."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from e2e.conftest import SAMPLE
from e2e.test_serve import call, until_it_answers
from so8t.data.safety.classifier import SafetyClassifier
from so8t.model.heads import HEADS_FILE
from so8t.serve.audit.reader import last_rows, opened
from so8t.serve.messages import MESSAGES
from so8t.serve.outcome import Outcome

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Path:
    """A run, its base model, and records that are all to be declined."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    declined = [line for line in SAMPLE.read_bytes().splitlines() if json.loads(line)["safety_label"] == "DENY"]
    (tmp_path / "declined.jsonl").write_bytes(b"\n".join(declined) + b"\n")
    return tmp_path


@pytest.fixture
def served(start: Callable[..., "subprocess.Popen[str]"]) -> Callable[..., tuple[str, Any]]:
    """Give a function that serves a model, asks one question, and gives who judges and the answer."""

    def run(*words: object) -> tuple[str, Any]:
        process = start("serve", "--port", 0, "--force-cpu", *words)
        try:
            assert process.stdout is not None
            said = []
            while line := process.stdout.readline():
                said.append(line)
                if found := re.search(r"/think: http://127\.0\.0\.1:(\d+)/think", line):
                    port = int(found.group(1))
                    until_it_answers(port)
                    asked = {"user_id": "u", "query": "氷の扱い方は？", "temperature": 0, "max_new_tokens": 20}
                    status, body = call(port, "POST", "/think", asked)
                    assert status == 200
                    return "".join(said), json.loads(body.split(b"\n", 1)[1])
            assert process.stderr is not None
            raise AssertionError(process.stderr.read())
        finally:
            process.kill()
            process.communicate()

    return run


def test_heads_of_a_run_judge_what_its_server_is_asked_and_stay_with_the_baked_model(
    place: Path, so8t: Run, served: Callable[..., tuple[str, Any]]
) -> None:
    code, out, err = so8t("heads", "train", "run", "--dataset", "declined.jsonl", "--whole-state")
    assert code == 0, (out, err)
    said, answer = served("--model", "run")
    classifier, heads = re.search(r"judged by: classifier (\w+), heads (\w+)\n", said).groups()
    assert classifier == SafetyClassifier.load().digest
    assert (answer["answer"], answer["safety_label"]) == (MESSAGES[Outcome.REFUSED]["ja"], "REFUSE")
    with opened(place / "database" / "so8t_compliance.db") as connection:
        (row,) = last_rows(connection, 10)
    assert row["outcome"] == "refused"
    assert row["raw_output_hmac"] is None, "a declined question is not generated"

    said, answer = served("--model", "run", "--no-heads")
    assert f"judged by: classifier {classifier}\n" in said
    assert answer["answer"] == MESSAGES[Outcome.FORMAT_VIOLATION]["ja"]  # it went on to generate

    assert so8t("bake", "run", "--out", "baked")[0] == 0
    assert "safety heads | copied" in (place / "baked" / "README.md").read_text(encoding="utf-8")
    assert (place / "baked" / HEADS_FILE).read_bytes() == (place / "run" / "final" / HEADS_FILE).read_bytes()
    said, answer = served("--model", "baked", "--no-safety-model")
    assert f"judged by: heads {heads}\n" in said
    assert answer["answer"] == MESSAGES[Outcome.REFUSED]["ja"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--heads"], "so8t heads train"),
        (["--heads", "--upstream", "http://127.0.0.1:9/v1"], "leave one out"),
    ],
)
def test_heads_that_cannot_be_asked_are_one_line_before_a_key_is_made(
    place: Path, so8t: Run, words: list[str], said: str
) -> None:
    code, out, err = so8t("serve", "--port", 0, "--model", "model", *words)
    assert code == 2, (out, err)
    assert said in err
    assert err.count("\n") == 1
    assert not (place / "database").exists()


def test_damaged_heads_are_one_line_and_nothing_is_served(place: Path, so8t: Run) -> None:
    (place / "model" / HEADS_FILE).write_bytes(b"no heads")
    code, out, err = so8t("serve", "--port", 0, "--force-cpu", "--model", "model")
    assert code == 2, (out, err)
    assert f"{HEADS_FILE} cannot be read as safety heads" in err
    assert "/think: http" not in out
    assert so8t("serve", "--port", 0, "--model", "model", "--no-safety-model", "--allow-unjudged")[0] == 2
