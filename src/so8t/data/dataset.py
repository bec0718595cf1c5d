"""Training rows: records as token ids with labels, and how they are put together into a batch.

A row that does not fit into `max_seq_length` is left out and counted, never cut: a cut row would teach the model to
stop before its `<final>`. Rows are padded to the longest of their batch, not to the limit.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import torch
from torch.utils.data import Dataset

from so8t.data.chat import IGNORED, SYSTEM_PROMPTS, ChatEncoder, EncodedChat
from so8t.data.safety.guard import Guard
from so8t.data.thinking import read_records
from so8t.data.thinking_record import ThinkingRecord, render_assistant
from so8t.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Row(TypedDict):
    """One training row: token ids and, of equal length, labels (-100 where no loss is taken)."""

    input_ids: list[int]
    labels: list[int]


@dataclass(frozen=True)
class DatasetFacts:
    """What a report says about the data. Counts from `languages` on are of the rows kept.

    Attributes:
        file: name of the file, without its folder.
        sha256: SHA-256 of the file's bytes.
        records: rows in the file.
        kept: rows trained on.
        dropped_by_reason: rows left out: "too_long", "not_sampled".
        languages: rows by language.
        labels: rows by safety label.
        licences: rows by licence.
        tiers: rows by trust tier.
        tokens: tokens, prompt included.
        assistant_tokens: tokens the loss is taken on.
    """

    file: str
    sha256: str
    records: int
    kept: int
    dropped_by_reason: Mapping[str, int]
    languages: Mapping[str, int]
    labels: Mapping[str, int]
    licences: Mapping[str, int]
    tiers: Mapping[str, int]
    tokens: int
    assistant_tokens: int


class ThinkingDataset(Dataset[Row]):
    """The rows of one quadruple-thinking file that fit, in file order.

    Args:
        path: JSONL file.
        tokenizer: the model's tokenizer.
        max_seq_length: most tokens a row may have, prompt and end included.
        sample_ratio: share of the rows to use, above 0 and at most 1; drawn before lengths are looked at.
        seed: seed of the draw.

    Attributes:
        facts: counts for the report.

    Raises:
        DataError: the file is missing, empty or has a bad row; the ratio or the length cannot be; no row is left.
        ModelError: the tokenizer lacks Phi-3.5's role tokens.
    """

    def __init__(
        self,
        path: Path | str,
        tokenizer: PreTrainedTokenizerFast,
        *,
        max_seq_length: int,
        sample_ratio: float = 1.0,
        seed: int = 42,
    ) -> None:
        if max_seq_length < 1:
            raise DataError(f"max_seq_length is {max_seq_length}; it must be at least 1 token")
        path = Path(path)
        source = read_records(path, guard=Guard())
        if source.problems:
            raise DataError(
                f"{path} has bad rows ({source.bad_rows}), the first: {source.problems[0]}; "
                f"to see all of them: so8t data validate {path}"
            )
        sampled = _sample(source.records, sample_ratio, seed)
        encoder = ChatEncoder(tokenizer)
        encoded = [(record, encode_record(encoder, record)) for record in sampled]
        kept = [(record, chat) for record, chat in encoded if len(chat.input_ids) <= max_seq_length]
        if not kept:
            shortest = min(len(chat.input_ids) for _, chat in encoded)
            raise DataError(
                f"{path}: none of {len(sampled)} rows fits into max_seq_length {max_seq_length}; the shortest has "
                f"{shortest} tokens: raise data.max_seq_length"
            )
        self._rows = [Row(input_ids=chat.input_ids, labels=chat.labels) for _, chat in kept]
        self.facts = DatasetFacts(
            file=path.name,
            sha256=source.sha256,
            records=len(source.records),
            kept=len(kept),
            dropped_by_reason={
                "too_long": len(encoded) - len(kept),
                "not_sampled": len(source.records) - len(sampled),
            },
            languages=_count(record.language for record, _ in kept),
            labels=_count(record.safety_label.value for record, _ in kept),
            licences=_count(record.source.license for record, _ in kept),
            tiers=_count(record.source.tier for record, _ in kept),
            tokens=sum(len(chat.input_ids) for _, chat in kept),
            assistant_tokens=sum(chat.assistant_tokens for _, chat in kept),
        )

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Row:
        return self._rows[index]

    @property
    def n_read(self) -> int:
        """Rows in the file."""
        return self.facts.records

    @property
    def n_dropped_too_long(self) -> int:
        """Rows left out because they do not fit."""
        return self.facts.dropped_by_reason["too_long"]

    @property
    def n_kept(self) -> int:
        """Rows trained on."""
        return self.facts.kept


def encode_record(encoder: ChatEncoder, record: ThinkingRecord) -> EncodedChat:
    """Encode a record as one conversation.

    A record without a system prompt gets its language's default; an input stands below the instruction, after a
    blank line.
    """
    user = f"{record.instruction}\n\n{record.input}" if record.input else record.instruction
    return encoder.encode(record.system or SYSTEM_PROMPTS[record.language], user, render_assistant(record))


class ThinkingCollator:
    """Puts rows together into a batch padded to its longest row.

    Args:
        pad_token_id: id that fills up.
        padding_side: "left" (Phi-3.5's) or "right".

    Example:
        >>> batch = ThinkingCollator(9, "left")([{"input_ids": [1, 2], "labels": [-100, 2]},
        ...                                      {"input_ids": [3], "labels": [3]}])
        >>> batch["input_ids"].tolist(), batch["attention_mask"].tolist(), batch["labels"].tolist()
        ([[1, 2], [9, 3]], [[1, 1], [0, 1]], [[-100, 2], [-100, 3]])
    """

    def __init__(self, pad_token_id: int, padding_side: str) -> None:
        if padding_side not in ("left", "right"):
            raise DataError(f"padding_side is {padding_side!r}; it must be 'left' or 'right'")
        self._pad_token_id = pad_token_id
        self._left = padding_side == "left"

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> ThinkingCollator:
        """Make the collator that pads as the tokenizer says."""
        if tokenizer.pad_token_id is None:
            raise DataError("the tokenizer has no pad token; set it to its end-of-text token")
        return cls(tokenizer.pad_token_id, tokenizer.padding_side)

    def __call__(self, batch: Sequence[Row]) -> dict[str, torch.Tensor]:
        """Pad and stack.

        Args:
            batch: at least one row.

        Returns:
            `input_ids`, `attention_mask` (1 on tokens, 0 on padding) and `labels` (-100 on padding): int64 tensors of
            shape [rows, longest row].
        """
        longest = max(len(row["input_ids"]) for row in batch)
        return {
            "input_ids": self._pad((row["input_ids"] for row in batch), longest, self._pad_token_id),
            "attention_mask": self._pad(([1] * len(row["input_ids"]) for row in batch), longest, 0),
            "labels": self._pad((row["labels"] for row in batch), longest, IGNORED),
        }

    def _pad(self, rows: Iterable[list[int]], length: int, filler: int) -> torch.Tensor:
        padded = []
        for row in rows:
            fill = [filler] * (length - len(row))
            padded.append(fill + row if self._left else row + fill)
        return torch.tensor(padded, dtype=torch.long)


def _sample(records: Sequence[ThinkingRecord], ratio: float, seed: int) -> Sequence[ThinkingRecord]:
    """Draw a share of the records, at least one, keeping their order."""
    if not 0.0 < ratio <= 1.0:
        raise DataError(f"sample_ratio is {ratio}; it must be above 0 and at most 1")
    if ratio == 1.0:
        return records
    wanted = max(1, round(len(records) * ratio))
    chosen = sorted(random.Random(seed).sample(range(len(records)), wanted))
    return [records[index] for index in chosen]


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
