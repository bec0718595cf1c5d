"""`make data-demo`: a site crawled by rule, cleaned, validated and stated, and what of it stands in the report."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import so8t.cli
from kiseki import TrainingMetricsRecorder
from kiseki.report.document import Facts, Paragraph, Table
from kiseki.report.dossier import gather
from kiseki.report.sections import build_document
from kiseki.report.statements import Statements
from so8t.cli.data import data
from so8t.data.collect.ledger import Content, read_ledger
from so8t.data.safety.purpose import PURPOSE
from so8t.data.thinking import read_records

DEMO = Path(__file__).parents[2] / "examples" / "data_demo.py"
PERSONAL = ("青葉 太郎", "090-1234-5678", "taro.aoba@example.com", "9丁目9番9号", "1234 5678 9018", "123456789018")
"""What the pages say and no dataset may."""

pytestmark = pytest.mark.skipif(
    not {"collect", "clean"} <= set(so8t.cli.commands.commands) or "statement" not in data.commands,
    reason="so8t lacks one of the commands collect, clean, data statement",
)


@dataclass(frozen=True)
class Ran:
    """How the demo went."""

    folder: Path
    out: str
    statement: dict[str, Any]
    ledger: Content

    def source(self, name: str) -> dict[str, Any]:
        return next(source for source in self.statement["sources"] if source["id"] == name)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("demo") / "out"
    done = subprocess.run(
        [sys.executable, str(DEMO), str(folder)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    statement = json.loads((folder / "data_statement.json").read_bytes())
    return Ran(folder, done.stdout, statement, read_ledger(folder / "collected"))


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("city.test/water.html", "kept"),
        ("city.test/internal/minutes.html", "robots_rule"),
        ("city.test/gallery.html", "noai"),
        ("city.test/garbage-print.html", "duplicate_content"),
        ("research.test/missing.html", "gone"),
        ("forum.test/", "not_reviewed"),
    ],
)
def test_every_page_of_the_site_has_its_decision(ran: Ran, page: str, reason: str) -> None:
    decided = {re.sub(r"http://([^:]+):\d+", r"\1", one.url): one for one in ran.ledger.decisions.values()}
    assert decided[page].reason.value == reason


def test_the_counts_are_those_of_the_site(ran: Ran) -> None:
    city, forum = ran.source("city")["pages"], ran.source("forum")["pages"]
    assert (city["fetched"], city["kept"], city["refused_by_robots"], city["refused_by_terms"]) == (10, 8, 1, 1)
    assert (forum["fetched"], forum["refused_by_terms"]) == (0, 1)
    dropped = {block["name"]: block["dropped"] for block in ran.statement["cleaning"]["blocks"]}
    assert dropped["confidential"] == {"marked": 1}
    assert dropped["privacy"] == {"my_number": 1}
    assert dropped["duplicates"] == {"equal text": 1}
    assert {"name", "phone", "email", "address"} <= set(ran.statement["cleaning"]["redactions"])


def test_no_personal_datum_leaves_the_collected_pages(ran: Ran) -> None:
    files = [path for path in ran.folder.rglob("*") if path.is_file() and "collected" not in path.parts]
    assert len(files) > 3
    for text in (ran.out, *(path.read_bytes().decode(errors="replace") for path in files)):
        plain = unicodedata.normalize("NFKC", text)
        assert [value for value in PERSONAL if value in plain] == []


def test_what_was_refused_stands_nowhere(ran: Ran) -> None:
    for path in ran.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes().decode(errors="replace")
            for refused in ("収集器が尋ねることはありません", "詩と随筆", "このページは取得されません"):
                assert refused not in content, path


def test_the_rows_made_of_the_pages_are_valid_and_keep_their_origin(ran: Ran) -> None:
    read = read_records(ran.folder / "pages.jsonl")
    assert not read.problems
    assert {record.source.license for record in read.records} == {"CC-BY-4.0", "CC-BY-SA-4.0"}
    assert all(record.final in record.input for record in read.records)


@pytest.mark.parametrize("language", ["ja", "en"])
def test_the_counts_stand_in_the_report(ran: Ran, tmp_path: Path, language: str) -> None:
    with TrainingMetricsRecorder(tmp_path / "run", companion=False, save_plots=False) as recorder:
        recorder.record_step(step=1, epoch=0.1, loss=1.0, learning_rate=0.1)
    dossier = gather(recorder.folder, statements=Statements(data=ran.folder / "data_statement.json"))
    lines = []
    for section in build_document(dossier, language).walk():
        for block in section.blocks:
            if isinstance(block, Paragraph):
                lines.append(block.text)
            if isinstance(block, Facts):
                lines += [" ".join(row) for row in block.rows]
            if isinstance(block, Table):
                lines += [" ".join(row) for row in block.rows]
    report = "\n".join(lines)
    nsfw = ran.statement["nsfw"]
    assert nsfw["used"], "the sample holds NSFW requests that are declined"
    for said in (
        "city 10 8 1 1",
        {"ja": "電話番号（phone） 1", "en": "telephone number (phone) 1"}[language],
        ran.statement["ledger"]["sha256"],
        PURPOSE[language],
        str(nsfw["records"]),
    ):
        assert said in report, said
