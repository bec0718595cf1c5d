"""Statements that come as files: what they say stands in the report, and nothing else does."""

import json
from pathlib import Path
from typing import Any

import pytest

from kiseki import TrainingMetricsRecorder
from kiseki.errors import UsageError
from kiseki.report.document import Facts, Paragraph, Table
from kiseki.report.dossier import gather
from kiseki.report.sections import build_document
from kiseki.report.statements import Statements
from kiseki.report.to_json import to_json
from kiseki.run_folder import RunFolder
from support import strict_json

PURPOSE = {"ja": "拒否挙動の学習に限る。", "en": "For refusal only."}
DATA: dict[str, Any] = {
    "schema_version": 1,
    "dataset": {"name": "d", "files": [{"path": "clean.jsonl", "bytes": 9, "sha256": "ab" * 32, "records": 1234}]},
    "sources": [
        {
            "id": "site-1",
            "tier": 1,
            "licence": "CC-BY-4.0",
            "terms_url": "https://example.org/terms",
            "reviewed_by": "legal",
            "reviewed_at": "2026-11-01",
            "purpose": "training",
            "pages": {"fetched": 40, "kept": 31, "refused_by_robots": 5, "dropped": 4},
        }
    ],
    "cleaning": {
        "blocks": [{"name": "privacy", "in": 31, "out": 29, "dropped": {"card": 2}}],
        "redactions": {"phone": 7},
    },
    "nsfw": {"used": True, "purpose": PURPOSE, "records": 20, "labels": {"DENY": 20}},
    "ledger": {"bytes": 10, "sha256": "cd" * 32, "lines": 77},
}
SERVING = {"gate_version": "gate-9", "policy_digest": "ef" * 32, "outcomes": {"ANSWERED": 5, "REFUSED": 2}}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    with TrainingMetricsRecorder(tmp_path / "run", companion=False, save_plots=False) as recorder:
        recorder.record_step(step=1, epoch=0.1, loss=1.0, learning_rate=0.1)
    return recorder.folder


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def text_of(folder: RunFolder, language: str, statements: Statements, only: str = "") -> str:
    lines: list[str] = []
    for section in build_document(gather(folder, statements=statements), language).walk():
        if only not in ("", section.key):
            continue
        for block in section.blocks:
            if isinstance(block, Paragraph):
                lines.append(block.text)
            if isinstance(block, Facts):
                lines += [" ".join(row) for row in block.rows]
            if isinstance(block, Table):
                lines += [" ".join(row) for row in (block.head, *block.rows)]
    return "\n".join(lines)


@pytest.mark.parametrize("language", ["ja", "en"])
def test_sources_cleaning_and_purpose_stand_in_the_report(folder: RunFolder, tmp_path: Path, language: str) -> None:
    text = text_of(folder, language, Statements(data=written(tmp_path / "data.json", DATA)))
    privacy = {
        "ja": "個人情報の検査（privacy） 31 29 クレジットカード番号（card）：2",
        "en": "personal data (privacy) 31 29 credit card number (card): 2",
    }[language]
    phone = {"ja": "電話番号（phone） 7", "en": "telephone number (phone) 7"}[language]
    for said in ("site-1", "CC-BY-4.0", "legal", "40 31 4 5", privacy, phone, "1,234", "77"):
        assert said in text, said
    assert PURPOSE[language] in text


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "ja",
            (
                "データの名称 d",
                "利用規約の遵守 利用規約を確認した出所：1/1",
                "robots.txtの遵守 robots.txtにより取得しなかったページ：5",
                "個人情報・機密情報の除外 個人情報の墨消し・除外：7件",
                f"収集台帳の集計 77行（SHA-256：{'cd' * 32}）",
                "データ目録（マニフェスト） 1ファイル、1,234件",
            ),
        ),
        (
            "en",
            (
                "Names of the data d",
                "Terms of use Sources whose terms were reviewed: 1 of 1",
                "robots.txt Pages left alone because of robots.txt: 5",
                "Personal and confidential data Personal data removed: 7",
                f"Ledger of the collection 77 lines (SHA-256: {'cd' * 32})",
                "Manifest 1 file, 1,234 records",
            ),
        ),
    ],
)
def test_the_rules_of_collecting_are_answered_from_the_statement(
    folder: RunFolder, tmp_path: Path, language: str, said: tuple[str, ...]
) -> None:
    lines = text_of(folder, language, Statements(data=written(tmp_path / "data.json", DATA))).splitlines()
    for beginning in said:
        assert any(line.startswith(beginning) for line in lines), beginning


def test_what_the_author_says_of_a_rule_comes_before_the_statement(tmp_path: Path) -> None:
    config = {"data": {"names": ["own corpus"], "robots": "honoured"}}
    with TrainingMetricsRecorder(tmp_path / "run", config=config, companion=False, save_plots=False) as recorder:
        recorder.record_step(step=1, loss=1.0)
    lines = text_of(recorder.folder, "en", Statements(data=written(tmp_path / "data.json", DATA))).splitlines()
    assert {"Names of the data own corpus", "robots.txt honoured"} <= set(lines)


@pytest.mark.parametrize("language", ["ja", "en"])
def test_the_purpose_of_nsfw_text_is_said_once_and_its_labels_are_named(tmp_path: Path, language: str) -> None:
    config = {"poc": {"safety": PURPOSE["ja"]}}
    with TrainingMetricsRecorder(tmp_path / "run", config=config, companion=False, save_plots=False) as recorder:
        recorder.record_step(step=1, loss=1.0)
    text = text_of(recorder.folder, language, Statements(data=written(tmp_path / "data.json", DATA)), "nsfw")
    assert sum(text.count(said) for said in PURPOSE.values()) == 1
    assert PURPOSE[language] in text
    expected = {
        "ja": "NSFWデータの内訳 理由を示して断る（DENY）：20",
        "en": "NSFW records by label to be declined with a reason (DENY): 20",
    }
    assert expected[language] in text.splitlines()


@pytest.mark.parametrize("language", ["ja", "en"])
def test_gate_and_outcomes_stand_in_the_report(folder: RunFolder, tmp_path: Path, language: str) -> None:
    text = text_of(folder, language, Statements(serving=written(tmp_path / "serving.json", SERVING)))
    assert "gate_version gate-9" in text
    assert "REFUSED 2" in text


def test_the_json_report_holds_them_as_they_are(folder: RunFolder, tmp_path: Path) -> None:
    data, serving = written(tmp_path / "data.json", DATA), written(tmp_path / "serving.json", SERVING)
    told = strict_json(to_json(gather(folder, statements=Statements(data, serving))))
    assert told["data_statement"] == DATA
    assert told["serving_statement"] == SERVING
    without = strict_json(to_json(gather(folder)))
    assert without["data_statement"] is without["serving_statement"] is None


def test_what_the_trainer_handed_over_counts_without_a_file(folder: RunFolder, tmp_path: Path) -> None:
    with TrainingMetricsRecorder(tmp_path / "other", companion=False, save_plots=False) as recorder:
        recorder.record_step(step=1, epoch=0.1, loss=1.0, learning_rate=0.1)
        recorder.generate_poc_report(live={"data_statement": DATA}, formats=["json"])
    assert gather(recorder.folder).data_statement["ledger"]["lines"] == 77


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe", b"[" * 100_000, None])
def test_a_file_that_is_no_statement_is_refused_in_one_line(
    folder: RunFolder, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "data.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"data\.json: the statement"):
        gather(folder, statements=Statements(data=path))


@pytest.mark.parametrize("odd", [{"sources": 3}, {"sources": [None]}, {"cleaning": []}, {"nsfw": {"used": "?"}}])
def test_a_statement_of_odd_shapes_does_not_break_the_report(
    folder: RunFolder, tmp_path: Path, odd: dict[str, Any]
) -> None:
    assert text_of(folder, "ja", Statements(data=written(tmp_path / "data.json", odd)))
