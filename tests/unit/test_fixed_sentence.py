"""The one sentence on what the NSFW corpus is for: wherever it has to stand, it stands word for word."""

import json
from pathlib import Path

import pytest

from kiseki import TrainingMetricsRecorder
from kiseki.report.card.render import to_card
from kiseki.report.document import Paragraph
from kiseki.report.dossier import Dossier, gather
from kiseki.report.sections import build_document
from so8t.data.safety.classifier import SHIPPED, SafetyClassifier
from so8t.data.safety.model import MODEL_FILE
from so8t.data.safety.purpose import PURPOSE
from so8t.data.statement import data_statement

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples" / "data" / "quadruple_thinking_train.jsonl"
SPECIFIED = {
    "ja": "NSFWコーパスの主目的は安全判定と拒否挙動の学習であり、生成を目的としない。分類器は検出・拒否用途に限る。",
    "en": "The main purpose of the NSFW corpus is to learn safety judgement and refusal behaviour; it is not for "
    "generation. The classifier is limited to detection and refusal.",
}
"""Written out again here, so that changing the constant changes nothing unnoticed."""
PAGES = {
    "README.md": "en",
    "README.ja.md": "ja",
    "docs/model-design.md": "en",
    "docs/model-design.ja.md": "ja",
    "docs/guide/data-policy.md": "en",
    "docs/guide/data-policy.ja.md": "ja",
}


@pytest.fixture
def dossier(tmp_path: Path) -> Dossier:
    """A run whose training data holds NSFW requests that are declined."""
    statement, _ = data_statement([SAMPLE], generated_at="2026-11-24T00:00:00Z", name="sample", folder=tmp_path)
    assert statement["nsfw"]["used"]
    with TrainingMetricsRecorder(tmp_path / "run", companion=False, save_plots=False) as recorder:
        recorder.record_step(step=1, epoch=0.1, loss=1.0, learning_rate=0.1)
        recorder.generate_poc_report(live={"data_statement": statement}, formats=["json"])
    return gather(recorder.folder)


def test_the_constants_are_what_was_specified() -> None:
    assert dict(PURPOSE) == SPECIFIED


@pytest.mark.parametrize("page", PAGES)
def test_the_sentence_stands_word_for_word_on_every_page(page: str) -> None:
    # where a line is broken is the page's own business
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    assert PURPOSE[PAGES[page]] in text


@pytest.mark.parametrize("language", PURPOSE)
def test_the_sentence_stands_in_the_report(dossier: Dossier, language: str) -> None:
    sections = [section for section in build_document(dossier, language).walk() if section.key == "nsfw"]
    paragraphs = [block.text for section in sections for block in section.blocks if isinstance(block, Paragraph)]
    assert PURPOSE[language] in paragraphs


def test_the_sentence_stands_in_the_json_report_in_both_languages(tmp_path: Path, dossier: Dossier) -> None:
    (report,) = (tmp_path / "run" / "poc_reports").glob("poc_report_*.json")
    assert json.loads(report.read_bytes())["data_statement"]["nsfw"]["purpose"] == dict(PURPOSE)


@pytest.mark.parametrize("language", PURPOSE)
def test_the_sentence_stands_on_the_model_card(dossier: Dossier, language: str) -> None:
    assert PURPOSE[language] in to_card(dossier, language=language)


def test_the_sentence_comes_with_the_classifier() -> None:
    assert json.loads((SHIPPED / MODEL_FILE).read_bytes())["purpose"] == dict(PURPOSE)
    assert SafetyClassifier.load().purpose == dict(PURPOSE)
