"""Training rows: never cut, always counted, padded on the side the tokenizer says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM

from so8t.data.assistant_text import parse_assistant
from so8t.data.chat import IGNORED, SYSTEM_PROMPTS, ChatEncoder
from so8t.data.dataset import Row as TrainingRow
from so8t.data.dataset import ThinkingCollator, ThinkingDataset
from so8t.data.thinking import parse_line
from so8t.data.thinking_record import render_assistant
from so8t.errors import DataError

Row = dict[str, Any]
LONG = 4096


def rows_of(dataset: ThinkingDataset) -> list[TrainingRow]:
    return [dataset[index] for index in range(len(dataset))]


def lengths_of(dataset: ThinkingDataset) -> list[int]:
    return [len(row["input_ids"]) for row in rows_of(dataset)]


@pytest.fixture
def mixed(make_row: Callable[..., Row], write_rows: Callable[..., Path]) -> Path:
    """Five short rows and one long one, in two languages."""
    short = [make_row(instruction=f"Question {number}?", language="en", final="Yes.") for number in range(4)]
    denied = make_row(safety_label="DENY", final="お答えできません。")
    return write_rows(*short, denied, make_row(final="長い答え。" * 200), name="mixed.jsonl")


def test_a_row_is_the_whole_conversation_and_its_answer_reads_back(
    mixed: Path, tokenizer: Any, make_row: Callable[..., Row]
) -> None:
    dataset = ThinkingDataset(mixed, tokenizer, max_seq_length=LONG)
    for row, line in zip(rows_of(dataset), mixed.read_bytes().splitlines(), strict=True):
        record = parse_line(line, 1)
        text = tokenizer.decode(row["input_ids"])
        assert text.startswith(f"<|system|>{SYSTEM_PROMPTS[record.language]}<|end|><|user|>{record.instruction}<|end|>")
        answer = tokenizer.decode([label for label in row["labels"] if label != IGNORED])
        assert answer == render_assistant(record) + "<|end|><|endoftext|>"
        assert parse_assistant(answer.removesuffix("<|end|><|endoftext|>")).final == record.final


def test_own_system_prompt_and_input_below_a_blank_line(
    make_row: Callable[..., Row], write_rows: Callable[..., Path], tokenizer: Any
) -> None:
    path = write_rows(make_row(system="Be brief.", instruction="Sum up.", input="A text."))
    (row,) = rows_of(ThinkingDataset(path, tokenizer, max_seq_length=LONG))
    text = tokenizer.decode(row["input_ids"])
    assert text.startswith("<|system|>Be brief.<|end|><|user|>Sum up.\n\nA text.<|end|><|assistant|><think-task>")


def test_rows_that_do_not_fit_are_left_out_whole_and_counted(mixed: Path, tokenizer: Any) -> None:
    lengths = lengths_of(ThinkingDataset(mixed, tokenizer, max_seq_length=LONG))
    limit = sorted(lengths)[-2]
    dataset = ThinkingDataset(mixed, tokenizer, max_seq_length=limit)
    assert (dataset.n_read, dataset.n_dropped_too_long, dataset.n_kept, len(dataset)) == (6, 1, 5, 5)
    assert lengths_of(dataset) == [n for n in lengths if n <= limit]
    fewer = ThinkingDataset(mixed, tokenizer, max_seq_length=limit - 1)
    assert fewer.n_kept == sum(n < limit for n in lengths) < 5


def test_the_facts_count_what_is_trained_on(mixed: Path, tokenizer: Any) -> None:
    facts = ThinkingDataset(mixed, tokenizer, max_seq_length=600).facts
    rows = rows_of(ThinkingDataset(mixed, tokenizer, max_seq_length=600))
    assert facts.file == "mixed.jsonl"
    assert facts.sha256 == hashlib.sha256(mixed.read_bytes()).hexdigest()
    assert (facts.records, facts.kept) == (6, 5)
    assert facts.dropped_by_reason == {"too_long": 1, "not_sampled": 0}
    assert facts.languages == {"en": 4, "ja": 1}
    assert facts.labels == {"ALLOW": 4, "DENY": 1}
    assert facts.licences == {"CC0-1.0": 5}
    assert facts.tiers == {"synthetic": 5}
    assert facts.tokens == sum(len(row["input_ids"]) for row in rows)
    assert facts.assistant_tokens == sum(label != IGNORED for row in rows for label in row["labels"])
    assert 0 < facts.assistant_tokens < facts.tokens


def test_no_row_left_is_an_error_that_says_how_long_the_shortest_is(mixed: Path, tokenizer: Any) -> None:
    shortest = min(lengths_of(ThinkingDataset(mixed, tokenizer, max_seq_length=LONG)))
    with pytest.raises(DataError, match=f"none of 6 rows .* {shortest} tokens"):
        ThinkingDataset(mixed, tokenizer, max_seq_length=shortest - 1)
    assert len(ThinkingDataset(mixed, tokenizer, max_seq_length=shortest)) >= 1


def test_a_sample_is_a_fixed_share_in_file_order(mixed: Path, tokenizer: Any) -> None:
    def sample(ratio: float, seed: int = 42) -> list[list[int]]:
        dataset = ThinkingDataset(mixed, tokenizer, max_seq_length=LONG, sample_ratio=ratio, seed=seed)
        assert dataset.facts.dropped_by_reason["not_sampled"] == 6 - len(dataset)
        return [row["input_ids"] for row in rows_of(dataset)]

    whole = sample(1.0)
    half = sample(0.5)
    assert len(half) == 3
    assert half == sample(0.5)
    assert [row for row in whole if row in half] == half
    assert any(sample(0.5, seed) != half for seed in range(5))
    assert len(sample(0.01)) == 1


@pytest.mark.parametrize("ratio", [0.0, -0.1, 1.1, float("nan")])
def test_a_ratio_that_is_no_share_is_refused(mixed: Path, tokenizer: Any, ratio: float) -> None:
    with pytest.raises(DataError, match="sample_ratio"):
        ThinkingDataset(mixed, tokenizer, max_seq_length=LONG, sample_ratio=ratio)


def test_a_bad_row_stops_before_training_and_names_line_field_and_command(
    make_row: Callable[..., Row], write_rows: Callable[..., Path], tokenizer: Any
) -> None:
    path = write_rows(make_row(), {**make_row(), "safety_label": "MAYBE"})
    with pytest.raises(DataError, match=r"bad rows \(1\), the first: line 2: safety_label.*so8t data validate"):
        ThinkingDataset(path, tokenizer, max_seq_length=LONG)


@given(
    st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=9), min_size=1, max_size=5),
    st.sampled_from(["left", "right"]),
)
def test_padding_adds_nothing_to_the_rows(rows: list[list[int]], side: str) -> None:
    batch = ThinkingCollator(7, side)([{"input_ids": row, "labels": row} for row in rows])
    longest = max(map(len, rows))
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in batch.items()} == {
        name: ((len(rows), longest), torch.int64) for name in ("input_ids", "attention_mask", "labels")
    }
    for index, row in enumerate(rows):
        mask = batch["attention_mask"][index].bool()
        assert batch["input_ids"][index][mask].tolist() == batch["labels"][index][mask].tolist() == row
        assert set(batch["input_ids"][index][~mask].tolist()) <= {7}
        assert set(batch["labels"][index][~mask].tolist()) <= {IGNORED}
        edge = mask.tolist() if side == "left" else mask.tolist()[::-1]
        assert edge == sorted(edge)


def test_an_unknown_side_is_refused() -> None:
    with pytest.raises(DataError, match="padding_side"):
        ThinkingCollator(0, "top")


def test_a_model_takes_the_batch_and_padding_does_not_change_its_loss(
    mixed: Path, tokenizer: Any, tiny_folder: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_folder)
    dataset = ThinkingDataset(mixed, tokenizer, max_seq_length=600)
    collate = ThinkingCollator.of(tokenizer)
    with torch.no_grad():
        (batch,) = DataLoader(dataset, batch_size=5, collate_fn=collate)
        together = model(**batch).loss
        alone = [(model(**collate([dataset[i]])).loss, dataset[i]["labels"]) for i in range(5)]
    counts = [sum(label != IGNORED for label in labels) for _, labels in alone]
    weighted = sum(float(loss) * count for (loss, _), count in zip(alone, counts, strict=True)) / sum(counts)
    assert not batch["attention_mask"].bool().all()
    assert float(together) == pytest.approx(weighted, rel=1e-5)


def test_the_first_token_in_the_loss_follows_the_generation_prompt(mixed: Path, tokenizer: Any) -> None:
    row = ThinkingDataset(mixed, tokenizer, max_seq_length=LONG)[0]
    first = next(index for index, label in enumerate(row["labels"]) if label != IGNORED)
    prompt = ChatEncoder(tokenizer).prompt(SYSTEM_PROMPTS["en"], "Question 0?")
    assert row["input_ids"][:first] == prompt


def test_blocked_text_as_a_target_keeps_training_from_starting(
    make_row: Callable[..., Row], write_rows: Callable[..., Path], tokenizer: Any
) -> None:
    """The same guard as `so8t data validate` has, in what the trainer trains on."""
    blocked = "Write a porn story with an explicit sex scene, be as graphic as you can."
    path = write_rows(make_row(language="en"), make_row(language="en", instruction="Another?", final=blocked))
    with pytest.raises(DataError, match=r"line 2.*final.*blocked text") as refused:
        ThinkingDataset(path, tokenizer, max_seq_length=LONG)
    assert "porn" not in str(refused.value)
