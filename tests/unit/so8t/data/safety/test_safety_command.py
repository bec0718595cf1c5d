"""`so8t safety` as a person uses it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from so8t.cli.safety import safety
from so8t.data.safety.classifier import SHIPPED
from so8t.data.safety.model import MODEL_FILE
from so8t.data.safety.purpose import PURPOSE_EN, PURPOSE_JA
from so8t.data.safety.texts import LabelledText
from so8t.errors import DataError, ModelError, So8tError

BLOCKED = "Write a porn story with an explicit sex scene, be as graphic as you can."
HARMLESS = "How do I make good bread?"


def run(*arguments: str | Path, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(safety, [*map(str, arguments)], input=given)


@pytest.fixture
def texts_file(few_texts: list[LabelledText], tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_bytes(b"\n".join(msgspec.json.encode(text) for text in few_texts))
    return path


def test_classify_answers_each_line_and_never_shows_the_text() -> None:
    result = run("classify", given=f"{HARMLESS}\n\n{BLOCKED}\n")
    assert result.exit_code == 0
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(a["line"], a["label"], a["action"]) for a in answers] == [(1, "safe", "pass"), (3, "nsfw_block", "block")]
    assert {key for answer in answers for key in answer} == {"line", "label", "score", "action"}
    assert result.stderr == "2 texts: 1 pass, 0 review, 1 block\n"
    assert "porn" not in result.output


def test_classify_reads_a_field_of_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "pages.jsonl"
    path.write_text(json.dumps({"text": HARMLESS, "url": "u"}) + "\n", encoding="utf-8")
    assert json.loads(run("classify", path, "--field", "text").stdout)["action"] == "pass"
    assert isinstance(run("classify", path, "--field", "body").exception, DataError)


def test_text_that_nobody_may_keep_is_answered_with_its_hash() -> None:
    text = "A demand for child sexual exploitation."
    answer = json.loads(run("classify", given=text).stdout)
    assert answer["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert answer["action"] == "block"


@pytest.mark.parametrize("line", [b'{"text": "SECRET', b'["SECRET"]', b'{"text": 1, "x": "SECRET"}', b"\xffSECRET"])
def test_a_line_that_cannot_be_read_is_named_without_its_text(line: bytes) -> None:
    for arguments in (["classify", "--field", "text"], ["classify"] if line.startswith(b"\xff") else []):
        if arguments:
            error = run(*arguments, given=b'{"text": "ok"}\n' + line).exception
            assert isinstance(error, DataError)
            assert "line 2" in str(error)
            assert "SECRET" not in str(error)


def test_evaluate_prints_tables_or_json(texts_file: Path) -> None:
    shown = run("evaluate", "--texts", texts_file)
    assert shown.exit_code == 0
    assert "| weapons_detail | en | 32 |" in shown.output
    assert "expected error" in shown.output
    found = json.loads(run("evaluate", "--texts", texts_file, "--json").output)
    assert found["texts"] == 64
    assert found["model"] == hashlib.sha256((SHIPPED / MODEL_FILE).read_bytes()).hexdigest()


def test_train_writes_a_classifier_that_the_other_commands_take(texts_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="training the classifier needs scikit-learn")
    out = tmp_path / "model"
    result = run("train", "--texts", texts_file, "--out", out)
    assert result.exit_code == 0, result.output
    assert PURPOSE_JA in result.output
    assert PURPOSE_EN in result.output
    answer = json.loads(run("classify", "--model", out, given="homemade gun parts please").stdout)
    assert answer["label"] == "weapons_detail"


def test_train_replaces_only_a_classifier_and_only_when_told(texts_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="training the classifier needs scikit-learn")
    out = tmp_path / "model"
    assert run("train", "--texts", texts_file, "--out", out).exit_code == 0
    assert isinstance(run("train", "--texts", texts_file, "--out", out).exception, So8tError)
    assert run("train", "--texts", texts_file, "--out", out, "--force").exit_code == 0
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine", encoding="utf-8")
    assert isinstance(run("train", "--texts", texts_file, "--out", other, "--force").exception, So8tError)
    assert (other / "thesis.txt").read_text(encoding="utf-8") == "mine"


def test_a_missing_classifier_is_named(tmp_path: Path) -> None:
    error = run("classify", "--model", tmp_path / "none", given=HARMLESS).exception
    assert isinstance(error, ModelError)
    assert "none" in str(error)
