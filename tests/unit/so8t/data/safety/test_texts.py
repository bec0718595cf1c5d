"""The labelled texts of this project: enough, in both languages, split by pattern, in wording that is not explicit."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from so8t.data.safety.features import normalise
from so8t.data.safety.taxonomy import ContentLabel
from so8t.data.safety.texts import LabelledText, read_texts
from so8t.errors import DataError

PARTS = ("train", "heldout")


@pytest.fixture(scope="module")
def parts(examples: Path) -> dict[str, list[LabelledText]]:
    return {part: list(read_texts(examples / f"safety_{part}.jsonl").texts) for part in PARTS}


def test_there_are_1500_texts_and_every_label_in_both_languages_on_both_sides(
    parts: dict[str, list[LabelledText]],
) -> None:
    assert sum(map(len, parts.values())) >= 1500
    for texts in parts.values():
        assert {(t.label, t.language) for t in texts} == {(b, c) for b in ContentLabel for c in ("ja", "en")}


def test_medicine_law_news_and_education_stand_among_the_safe_texts(parts: dict[str, list[LabelledText]]) -> None:
    for texts in parts.values():
        topics = {(text.topic, text.language) for text in texts if text.label is ContentLabel.SAFE}
        hard = ("medicine", "law", "news", "education", "security", "support", "refusal")
        assert {(topic, language) for topic in hard for language in ("ja", "en")} <= topics


def test_no_pattern_and_no_text_stands_on_both_sides(parts: dict[str, list[LabelledText]]) -> None:
    patterns = [{text.pattern for text in parts[part]} for part in PARTS]
    texts = [{normalise(text.text) for text in parts[part]} for part in PARTS]
    assert not patterns[0] & patterns[1]
    assert not texts[0] & texts[1]


def incidence(texts: list[LabelledText], columns: dict[str, int]) -> csr_matrix:
    """Which text has which run of four characters: [texts, runs], 0 or 1."""
    runs = [{normalise(t.text)[i : i + 4] for i in range(max(1, len(normalise(t.text)) - 3))} for t in texts]
    places = [columns.setdefault(run, len(columns)) for found in runs for run in sorted(found)]
    starts = np.cumsum([0, *map(len, runs)])
    return csr_matrix((np.ones(len(places)), places, starts), shape=(len(texts), 1 << 18))


def test_no_held_out_text_is_nearly_one_that_was_trained_on(parts: dict[str, list[LabelledText]]) -> None:
    """Jaccard similarity of the runs of four characters, for every pair of a held-out and a training text."""
    columns: dict[str, int] = {}
    trained, unseen = (incidence(parts[part], columns) for part in PARTS)
    common = (unseen @ trained.T).toarray()
    either = np.asarray(unseen.sum(axis=1)) + np.asarray(trained.sum(axis=1)).T - common
    assert float((common / either).max()) < 0.8


def test_the_files_are_what_the_builder_writes(
    examples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builder: dict[str, Any] = runpy.run_path(str(examples.parent / "build_safety_texts.py"))
    main: Callable[[list[str]], int] = builder["main"]
    assert main(["--out", str(tmp_path)]) == 0
    for part in PARTS:
        name = f"safety_{part}.jsonl"
        assert (tmp_path / name).read_bytes() == (examples / name).read_bytes()


@pytest.mark.parametrize(
    "line",
    [
        '{"text":"SECRET","language":"en","label":"unknown","pattern":"p"}',
        '{"text":"SECRET","language":"en","label":"safe"}',
        '{"text":"SECRET","language":"fr","label":"safe","pattern":"p"}',
        '{"text":"SECRET","language":"en","label":"safe","pattern":"p","lable":1}',
        '{"text":"SECRET',
        '{"text":"","language":"en","label":"safe","pattern":"p"}',
    ],
)
def test_a_bad_line_is_named_and_its_text_is_not_shown(tmp_path: Path, line: str) -> None:
    path = tmp_path / "texts.jsonl"
    good = json.dumps({"text": "fine", "language": "en", "label": "safe", "pattern": "p"})
    path.write_text(f"{good}\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2") as raised:
        read_texts(path)
    assert "SECRET" not in str(raised.value)


def test_a_missing_and_an_empty_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"\n")
    for name in ("none.jsonl", "empty.jsonl"):
        with pytest.raises(DataError, match=name):
            read_texts(tmp_path / name)
