"""The report says the same in Japanese and in English."""

import re
from collections import Counter
from collections.abc import Callable, Mapping

import pytest

from kiseki.errors import UsageError
from kiseki.report.document import Bullets, Code, Curves, Document, Facts, Section, Table
from kiseki.report.dossier import Dossier
from kiseki.report.sections import build_document
from kiseki.vocabulary import MEANINGS

KINDS = (
    "full", "bare", "empty", "one_step", "diverged", "two_attempts", "forty_metrics", "no_evaluation", "all_met",
    "interrupted",
)  # fmt: skip
SECTIONS = {
    "summary": "概要と総合判定",
    "background": "検証の背景と目的",
    "scope": "検証範囲・前提条件・制約事項",
    "criteria": "評価基準（学習開始前に設定）",
    "environment": "検証環境",
    "data": "使用データと収集方針の遵守状況",
    "method": "モデル構成・学習条件",
    "results": "検証結果（学習曲線・主要指標）",
    "record_quality": "記録の信頼性（欠損・重複・再開・異常値）",
    "safety": "安全対策（NSFWの取り扱い・思考過程の非公開）",
    "limits": "考察・限界・リスク",
    "compute": "計算資源・電力使用量",
    "next_steps": "今後の課題と本番移行の条件",
}
APPENDICES = {"settings": "全設定値", "definitions": "指標の定義", "verification": "改ざん検知の確認手順"}
NUMERAL = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?")
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")

Documents = Mapping[tuple[str, str], Document]
Strings = Callable[[object], list[str]]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_section_stands_in_both_languages_in_the_order_of_a_poc_report(documents: Documents, kind: str) -> None:
    japanese, english = documents[kind, "ja"], documents[kind, "en"]
    assert {part.key: part.title for part in japanese.sections} == SECTIONS
    assert [part.key for part in japanese.sections] == list(SECTIONS)
    assert {part.key: part.title for part in japanese.appendices} == APPENDICES
    assert [part.key for part in japanese.walk()] == [part.key for part in english.walk()]
    assert len({part.key for part in japanese.walk()}) == len(list(japanese.walk())), "a key stands twice"


def test_both_languages_show_the_same_numbers(documents: Documents, strings: Strings, kind: str) -> None:
    def numerals(document: Document) -> dict[str, Counter[str]]:
        parts: dict[str, object] = {"cover": document.cover}
        parts |= {part.key: (part.title, part.blocks) for part in document.walk()}
        return {key: Counter(_numerals(strings(part))) for key, part in parts.items()}

    japanese, english = numerals(documents[kind, "ja"]), numerals(documents[kind, "en"])
    assert {key: (japanese[key] - english[key], english[key] - japanese[key]) for key in japanese} == {
        key: (Counter(), Counter()) for key in japanese
    }


def _numerals(texts: list[str]) -> list[str]:
    # A definition may write "second" where the other language writes "2"; definitions are the vocabulary's matter.
    definitions = {text for meaning in MEANINGS.values() for text in (meaning.ja, meaning.en)}
    return [found for text in texts if text not in definitions for found in NUMERAL.findall(text)]


def test_both_languages_have_the_same_blocks_curves_and_code(documents: Documents, kind: str) -> None:
    for japanese, english in zip(documents[kind, "ja"].walk(), documents[kind, "en"].walk(), strict=True):
        assert _shape(japanese) == _shape(english)


def _shape(part: Section) -> list[object]:
    shapes: list[object] = []
    for block in part.blocks:
        shape: tuple[object, ...] = ()
        if isinstance(block, Table):
            shape = (len(block.head), len(block.rows), block.numeric, block.tones)
        elif isinstance(block, Facts):
            shape = (len(block.rows),)
        elif isinstance(block, Bullets):
            shape = (len(block.items),)
        elif isinstance(block, Code):
            shape = (block.text,)
        elif isinstance(block, Curves):
            spans = tuple((start, end) for start, end, _ in block.phases)
            shape = (block.series, block.attempts, block.logarithmic, spans)
        shapes.append((type(block), *shape))
    return shapes


def test_every_table_has_as_many_cells_in_each_row_as_in_its_head(documents: Documents, kind: str) -> None:
    tables = [block for part in documents[kind, "en"].walk() for block in part.blocks if isinstance(block, Table)]
    for table in tables:
        assert {len(row) for row in table.rows} <= {len(table.head)}, table.caption
        assert not table.tones or len(table.tones) == len(table.rows)
        assert table.numeric <= set(range(len(table.head)))
        assert all(isinstance(cell, str) and cell for row in table.rows for cell in row), table.caption


@pytest.mark.parametrize("kind_without_japanese", ["bare", "empty", "one_step", "two_attempts", "all_met"])
def test_the_english_report_has_no_japanese_but_what_was_given(
    documents: Documents, strings: Strings, kind_without_japanese: str
) -> None:
    document = documents[kind_without_japanese, "en"]
    shown = strings((document.cover, document.sections, document.appendices, document.words))
    assert [text for text in shown if JAPANESE.search(text) and "評価損失" not in text] == []


def test_words_have_the_same_keys_in_both_languages_and_none_is_empty(documents: Documents) -> None:
    japanese, english = documents["bare", "ja"].words, documents["bare", "en"].words
    assert japanese.keys() == english.keys()
    needed = {"contents", "page", "figure", "table", "appendix", "search", "reset_zoom", "step", "no_points"}
    needed |= {
        "linear",
        "logarithmic",
        "generated_at",
        "theme_light",
        "theme_dark",
        "good",
        "caution",
        "bad",
        "neutral",
    }
    assert needed <= japanese.keys()
    assert all(word for words in (japanese, english) for word in words.values())


def test_the_same_dossier_makes_the_same_document(dossiers: Mapping[str, Dossier], documents: Documents) -> None:
    assert build_document(dossiers["full"], "ja") == documents["full", "ja"]


def test_a_language_without_texts_is_refused(dossiers: Mapping[str, Dossier]) -> None:
    with pytest.raises(UsageError, match="'fr' is not one of 'ja', 'en'"):
        build_document(dossiers["bare"], "fr")
