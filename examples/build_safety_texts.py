"""Writes examples/data/safety_train.jsonl and safety_heldout.jsonl from the sentence patterns beside them.

    python examples/build_safety_texts.py

Patterns, not texts, are split: no sentence pattern stands in both files. Training patterns are the sentences of each
label, and its things in frames that all labels share, so that a frame tells nothing. The safe side is joined by the
answers and notes of the sample records, among them refusals, which speak of what they decline. Every run writes the
same bytes.
"""

from __future__ import annotations

import argparse
import itertools
import random
import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from so8t.data.safety.taxonomy import ContentLabel
from so8t.data.safety.texts import LabelledText
from so8t.data.thinking import read_records
from so8t.data.thinking_record import REFUSING

DATA = Path(__file__).resolve().parent / "data"
RECORDS = {"train": "quadruple_thinking_train.jsonl", "heldout": "quadruple_thinking_eval.jsonl"}
PER_PATTERN = {"train": 6, "heldout": 4}
FRAMES_PER_THING = 5

Part = Literal["train", "heldout"]
Language = Literal["ja", "en"]


def texts_of(part: Part, languages: Sequence[Language] = ("ja", "en")) -> list[LabelledText]:
    """All texts of a part, in a fixed order."""
    texts = [text for language in languages for text in _from_patterns(language, part)]
    return [*texts, *_from_records(part)]


def _from_patterns(language: Language, part: Part) -> Iterator[LabelledText]:
    source = yaml.safe_load((DATA / f"safety_patterns.{language}.yaml").read_text(encoding="utf-8"))
    labelled = [(ContentLabel(label), "", sentences) for label, sentences in source["labels"].items()]
    safe = [(ContentLabel.SAFE, topic, sentences) for topic, sentences in source["safe"].items()]
    for label, topic, sentences in labelled + safe:
        of_label = f"{language}/{topic or label.value}"
        patterns = [(f"{of_label}/{part}/{i:02}", p, PER_PATTERN[part], False) for i, p in enumerate(sentences[part])]
        if part == "train":
            patterns += _framed(f"{of_label}/thing", sentences.get("things", []), source["frames"])
        for name, pattern, most, composed in patterns:
            for text in _filled(pattern, source["slots"], most, seed=f"{name} {pattern}"):
                yield LabelledText(
                    text=text, language=language, label=label, pattern=name, topic=topic, composed=composed
                )


def _framed(name: str, things: Sequence[str], frames: Sequence[str]) -> Iterator[tuple[str, str, int, bool]]:
    """Each thing in some of the frames, once each: name of the pattern, pattern, number of texts, composed."""
    for number, thing in enumerate(things):
        seed = f"{name}/{number:02}"
        for frame in random.Random(seed).sample(frames, FRAMES_PER_THING):
            yield seed, frame.replace("{what}", thing), 1, True


def _filled(pattern: str, slots: Mapping[str, Sequence[str]], most: int, *, seed: str) -> list[str]:
    """The pattern with different words in its slots, in an order that depends on its name only."""
    names = [name for _, name, _, _ in string.Formatter().parse(pattern) if name]
    choices = list(itertools.product(*(slots[name] for name in names)))
    random.Random(seed).shuffle(choices)
    texts = [pattern.format(**dict(zip(names, words, strict=True))) for words in choices[:most]]
    return [text[0].upper() + text[1:] for text in texts]


def _from_records(part: Part) -> Iterator[LabelledText]:
    """What the assistant says and notes, and what it was asked where it answered: all of it safe."""
    for record in read_records(DATA / RECORDS[part]).records:
        thinking = record.thinking
        notes = f"{thinking.task} {thinking.safety} {thinking.policy}"
        texts: list[tuple[str, Language, str]] = [(record.final, record.language, "answers"), (notes, "en", "notes")]
        if record.safety_label.value == "ALLOW":
            texts.append((f"{record.instruction}\n{record.input}".strip(), record.language, "requests"))
        for text, language, topic in texts:
            topic = "refusal" if topic == "answers" and record.safety_label in REFUSING else topic
            yield LabelledText(
                text=text, language=language, label=ContentLabel.SAFE, pattern=f"record/{record.id}", topic=topic
            )


def write(path: Path, texts: Sequence[Any]) -> None:
    """Write one JSON object per line."""
    path.write_bytes(b"".join(msgspec.json.encode(text) + b"\n" for text in texts))


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DATA, help="folder to write to (default: examples/data)")
    out = parser.parse_args(arguments).out
    parts: tuple[Part, ...] = ("train", "heldout")
    for part in parts:
        texts = texts_of(part)
        write(out / f"safety_{part}.jsonl", texts)
        print(f"{out / f'safety_{part}.jsonl'}: {len(texts)} texts of {len({text.pattern for text in texts})} patterns")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
