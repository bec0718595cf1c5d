"""`so8t clean`, with the classifier that comes with so8t."""

import json

import click
import pytest
from click.testing import CliRunner

from so8t.cli.clean import clean as command
from so8t.errors import So8tError


def invoke(*arguments: object):
    return CliRunner().invoke(command, [str(argument) for argument in arguments], standalone_mode=False)


def test_a_cleaning_says_what_came_of_every_block(tmp_path, jsonl, prose):
    source = jsonl([{"text": prose(1) + "電話 03-3234-5678"}, {"text": prose(2)}, {"text": "【社外秘】" + prose(3)}])
    result = invoke(source, "--out", tmp_path / "out", "--licence", "CC0-1.0", "--tier", "1")
    assert result.exception is None
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "read 3 → 3" in lines
    assert "confidential 3 → 2 marked 1" in lines
    assert "personal data removed / 個人情報の除去: phone 1" in lines
    assert lines[0] == "整形・除外 / cleaning: 1 task"
    assert json.loads((tmp_path / "out" / "data_statement.json").read_text(encoding="utf-8"))["cleaning"]


def test_a_kind_can_be_dropped_instead(tmp_path, jsonl, prose):
    source = jsonl([{"text": prose(1) + "電話 03-3234-5678"}, {"text": prose(2)}])
    result = invoke(
        source, "--out", tmp_path / "out", "--licence", "MIT", "--tier", "1", "--personal-data", "phone=drop"
    )
    assert "privacy 2 → 1 phone 1" in " ".join(result.stdout.split())


def test_when_no_record_is_left_it_says_why_and_fails(tmp_path, jsonl, prose):
    result = invoke(jsonl([{"text": prose(1)}]), "--out", tmp_path / "out")
    assert 1 in (result.return_value, result.exit_code)
    assert (
        "no record is left / 残った記録がありません; if records state no licence, name it with --licence"
        in result.stdout
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("README.md", "# Title\n\nThree lines\nof prose.\n"),
        ("thinking.jsonl", '{"instruction": "x"}\n'),
        ("list", "[1]\n"),
    ],
)
def test_a_file_of_another_form_is_named_as_such(tmp_path, name, text):
    source = tmp_path / name
    source.write_text(text, encoding="utf-8", newline="\n")
    result = invoke(source, "--out", tmp_path / "out")
    assert 1 in (result.return_value, result.exit_code)
    assert f"no record is left / 残った記録がありません; no line of {name} could be read: so8t clean reads JSONL, " in (
        result.stdout
    )
    assert "licence" not in result.stdout


def test_files_that_are_empty_are_not_said_to_lack_a_licence(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "page.html").write_text("", encoding="utf-8")
    result = invoke(tmp_path / "in", "--out", tmp_path / "out")
    assert "no record is left / 残った記録がありません; nothing in in could be read" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--personal-data", "phone=hide"), "is not KIND=redact or KIND=drop; the kinds are secret, email"),
        (("--personal-data", "shoe_size=drop"), "is not KIND=redact or KIND=drop"),
        (("--executor", "slurm"), "needs --slurm-partition"),
    ],
)
def test_wrong_use_is_named(tmp_path, jsonl, prose, arguments, message):
    result = invoke(jsonl([{"text": prose(1)}]), "--out", tmp_path / "out", *arguments)
    assert isinstance(result.exception, click.UsageError)
    assert message in result.exception.format_message()
    assert not (tmp_path / "out").exists()


def test_input_that_is_not_there_is_one_line(tmp_path):
    result = invoke(tmp_path / "nowhere", "--out", tmp_path / "out")
    assert isinstance(result.exception, So8tError)
    assert "nowhere does not exist" in str(result.exception)


def test_a_broken_safety_model_is_named_before_anything_is_read(tmp_path, jsonl, prose):
    result = invoke(jsonl([{"text": prose(1)}]), "--out", tmp_path / "out", "--safety-model", tmp_path)
    assert isinstance(result.exception, So8tError)
    assert not (tmp_path / "out").exists()
