"""The data statement: what collection, cleaning and files say, joined; what does not belong together is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kiseki.record.clock import SystemClock
from so8t.cli.data_statement import statement as command
from so8t.data.collect.decisions import Decision, Outcome, Reason
from so8t.data.collect.ledger import DECISION, Ledger
from so8t.data.collect.statement import write_statement
from so8t.data.safety.purpose import PURPOSE
from so8t.data.statement import data_statement, describe_file
from so8t.errors import DataError

NOW = "2026-11-24T00:00:00Z"
SOURCE = {
    "id": "city",
    "tier": 1,
    "licence": "CC-BY-4.0",
    "terms_url": "https://city.example/terms",
    "reviewed_by": "data steward",
    "reviewed_at": "2026-11-01",
    "purpose": "testing",
}


@pytest.fixture
def collected(tmp_path: Path) -> Path:
    """A collection of two pages, one kept and one refused."""
    folder = tmp_path / "collected"
    ledger = Ledger(folder, SystemClock(), {"sources": [SOURCE]})
    for path, outcome, reason, status in (
        ("a", Outcome.KEPT, Reason.KEPT, 200),
        ("b", Outcome.REFUSED_BY_ROBOTS, Reason.ROBOTS_RULE, None),
    ):
        url = f"https://city.example/{path}"
        decision = Decision(
            timestamp=NOW, url=url, source="city", tier=1, outcome=outcome, reason=reason, status=status
        )
        ledger.write(DECISION, decision)
    ledger.close({"ended": "finished"})
    write_statement(folder, NOW)
    return folder


@pytest.fixture
def cleaned(tmp_path: Path, collected: Path) -> Path:
    """A cleaning of it with one record, as `so8t clean` leaves it."""
    folder = tmp_path / "cleaned"
    (folder / "data").mkdir(parents=True)
    record = {"language": "en", "text": "A text.", "source": {"tier": "1", "license": "CC-BY-4.0"}}
    content = json.dumps(record).encode() + b"\n"
    (folder / "data" / "part-00000.jsonl").write_bytes(content)
    part = {"path": "data/part-00000.jsonl", "bytes": len(content), "sha256": sha256(content), "records": 1}
    of_collection = json.loads((collected / "data_statement.json").read_bytes())
    (folder / "data_statement.json").write_text(
        json.dumps(
            {
                **of_collection,
                "dataset": {"name": "cleaned", "files": [part]},
                "cleaning": {
                    "blocks": [{"name": "privacy", "in": 2, "out": 1, "dropped": {"card": 1}}],
                    "redactions": {"phone": 3},
                },
                "nsfw": {"used": False, "purpose": dict(PURPOSE), "records": 0, "labels": {"nsfw_block": 2}},
            }
        ),
        encoding="utf-8",
    )
    return folder


@pytest.fixture
def rows(make_row: Callable[..., Any], write_rows: Callable[..., Path]) -> Path:
    """Three rows, one of an NSFW domain."""
    return write_rows(
        make_row(),
        make_row(language="en", final="Yes."),
        make_row(final="お断りします。", safety_label="REFUSE", domain_label="nsfw_block"),
        name="train.jsonl",
    )


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def stated(folder: Path, *files: Path, **parts: Path) -> dict[str, Any]:
    return data_statement(files, generated_at=NOW, name="demo", folder=folder, **parts)[0]


def written(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_all_parts_stand_in_one_statement(tmp_path: Path, collected: Path, cleaned: Path, rows: Path) -> None:
    joined = stated(tmp_path, rows, collected=collected, cleaned=cleaned)
    assert joined["sources"][0]["pages"]["kept"] == 1
    assert joined["sources"][0]["pages"]["refused_by_robots"] == 1
    assert joined["ledger"]["sha256"] == sha256((collected / "ledger.jsonl").read_bytes())
    assert joined["cleaning"]["redactions"] == {"phone": 3}
    assert joined["dataset"]["files"] == [
        {"path": "train.jsonl", "bytes": rows.stat().st_size, "sha256": sha256(rows.read_bytes()), "records": 3}
    ]
    assert joined["dataset"]["labels"] == {"ALLOW": 2, "REFUSE": 1}
    assert (joined["schema_version"], joined["generated_at"], joined["dataset"]["name"]) == (1, NOW, "demo")


def test_nsfw_rows_are_counted_with_the_purpose_and_what_cleaning_left_out_is_told_apart(
    tmp_path: Path, cleaned: Path, rows: Path
) -> None:
    assert stated(tmp_path, rows, cleaned=cleaned)["nsfw"] == {
        "used": True,
        "purpose": dict(PURPOSE),
        "records": 1,
        "labels": {"REFUSE": 1, "nsfw_block": 1},
        "left_out": {"nsfw_block": 2},
    }


def test_without_nsfw_rows_none_is_said_to_be_used(tmp_path: Path, cleaned: Path) -> None:
    nsfw = stated(tmp_path, cleaned=cleaned)["nsfw"]
    assert (nsfw["used"], nsfw["records"], nsfw["labels"]) == (False, 0, {})
    assert nsfw["purpose"] == dict(PURPOSE)


def test_the_cleanings_own_files_are_the_dataset_where_no_other_is_named(tmp_path: Path, cleaned: Path) -> None:
    joined = stated(tmp_path, cleaned=cleaned)
    assert [one["path"] for one in joined["dataset"]["files"]] == ["cleaned/data/part-00000.jsonl"]
    assert joined["dataset"]["licences"] == {"CC-BY-4.0": 1}
    assert joined["sources"][0]["id"] == "city", "the cleaning took the sources along"


def test_sources_are_counted_from_the_ledger_and_not_from_a_file_beside_it(
    tmp_path: Path, collected: Path, rows: Path
) -> None:
    (collected / "data_statement.json").write_text('{"sources": []}', encoding="utf-8")
    assert stated(tmp_path, rows, collected=collected)["sources"][0]["pages"]["kept"] == 1


def test_a_ledger_that_was_changed_is_refused(tmp_path: Path, collected: Path, rows: Path) -> None:
    ledger = collected / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b"robots_rule", b"kept_rule__"))
    with pytest.raises(DataError, match="the ledger is not what was written: line"):
        stated(tmp_path, rows, collected=collected)


def test_a_folder_without_a_ledger_is_named_as_no_collection(tmp_path: Path, rows: Path) -> None:
    said = r"is not a folder of so8t collect: it holds no ledger\.jsonl; .*--collected"
    for folder in (tmp_path / "nope", tmp_path):
        with pytest.raises(DataError, match=said):
            data_statement([rows], generated_at=NOW, name="x", folder=tmp_path, collected=folder)


def test_a_cleaning_of_another_collection_is_refused(tmp_path: Path, collected: Path, cleaned: Path) -> None:
    Ledger(collected, SystemClock(), {"sources": [SOURCE]}).close({"ended": "finished"})
    with pytest.raises(DataError, match="clean it again"):
        stated(tmp_path, collected=collected, cleaned=cleaned)


def test_a_file_that_was_changed_after_cleaning_is_refused(tmp_path: Path, cleaned: Path) -> None:
    part = cleaned / "data" / "part-00000.jsonl"
    part.write_bytes(part.read_bytes() * 2)
    with pytest.raises(DataError, match="was changed after it was cleaned"):
        stated(tmp_path, cleaned=cleaned)


def test_a_file_with_a_bad_row_is_refused_with_its_line(tmp_path: Path, write_rows: Callable[..., Path]) -> None:
    bad = write_rows("{torn", name="bad.jsonl")
    with pytest.raises(DataError, match=r"bad\.jsonl has bad rows \(1\), the first: line 1"):
        stated(tmp_path, bad)


def test_a_torn_line_in_cleaned_text_is_refused_with_its_number(tmp_path: Path, cleaned: Path) -> None:
    part = cleaned / "data" / "part-00000.jsonl"
    part.write_bytes(part.read_bytes() + b'{"text"\n')
    with pytest.raises(DataError, match="line 2 is no record of so8t clean"):
        describe_file(part)


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"[]", b"\xff", b'{"cleaning": {}}', b'{"cleaning": {}, "dataset": 3}', b"[" * 9999]
)
def test_a_cleaning_without_a_readable_statement_is_one_line(
    tmp_path: Path, rows: Path, cleaned: Path, content: bytes | None
) -> None:
    file = cleaned / "data_statement.json"
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"data_statement\.json") as raised:
        stated(tmp_path, rows, cleaned=cleaned)
    assert "\n" not in str(raised.value)


def test_no_dataset_is_wrong_use(tmp_path: Path, collected: Path) -> None:
    with pytest.raises(DataError, match="--dataset"):
        stated(tmp_path, collected=collected)


def test_two_files_of_one_name_are_refused(tmp_path: Path, rows: Path) -> None:
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "train.jsonl"
    twin.write_bytes(rows.read_bytes())
    with pytest.raises(DataError, match=r"both be called train\.jsonl"):
        stated(tmp_path / "elsewhere", rows, twin)


def test_the_command_writes_statement_and_croissant_and_shows_the_counts(
    tmp_path: Path, collected: Path, cleaned: Path, rows: Path
) -> None:
    out, croissant = tmp_path / "data_statement.json", tmp_path / "croissant.json"
    parts = ("--collected", collected, "--cleaned", cleaned, "--dataset", rows, "-o", out)
    result = written(*parts, "--croissant", croissant, "--url", "https://example.org/d", "--creator", "Example")
    assert result.exit_code == 0, result.output
    joined, described = json.loads(out.read_bytes()), json.loads(croissant.read_bytes())
    assert joined["dataset"]["name"] == tmp_path.name
    assert described["distribution"][0]["sha256"] == joined["dataset"]["files"][0]["sha256"]
    for said in ("kept 1", "refused_by_robots 1", "phone 3", "card 1", *PURPOSE.values()):
        assert said in result.output, said


def test_croissant_is_not_made_without_what_the_format_requires(tmp_path: Path, rows: Path) -> None:
    out = tmp_path / "statement.json"
    result = written("--dataset", rows, "-o", out, "--croissant", tmp_path / "croissant.json")
    assert result.exit_code == 2
    assert "--url and --creator" in result.stderr
    assert not out.exists()
