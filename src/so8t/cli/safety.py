"""`so8t safety`: trains, judges and asks the classifier that detects and refuses."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click
import msgspec

from kiseki.telling import counted
from so8t.errors import DataError, So8tError

if TYPE_CHECKING:
    from so8t.data.safety.classifier import SafetyClassifier

_model = click.option(
    "--model",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The classifier's folder.  [default: the one that comes with so8t]",
)
_path = click.Path(path_type=Path)


@click.group()
def safety() -> None:
    """Train, judge and ask the safety classifier; it is limited to detection and refusal."""


@safety.command()
@click.option("--texts", required=True, type=_path, metavar="FILE", help="Labelled texts, one JSON object per line.")
@click.option("--out", required=True, type=_path, metavar="DIR", help="Folder to write.")
@click.option("--force", is_flag=True, help="Replace a classifier that stands there.")
def train(texts: Path, out: Path, force: bool) -> None:
    """Train a classifier on labelled texts.

    \b
    Example:
      so8t safety train --texts examples/data/safety_train.jsonl --out models/safety
    """
    from so8t.data.safety.model import MODEL_FILE, save_model
    from so8t.data.safety.purpose import PURPOSE
    from so8t.data.safety.texts import read_texts

    if importlib.util.find_spec("sklearn") is None:
        raise So8tError("training the classifier needs scikit-learn: pip install 'kiseki[collect]'")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (force and (out / MODEL_FILE).is_file())):
        raise So8tError(f"{out} holds something: name a new folder, or add --force to replace a classifier there")
    labelled = read_texts(texts)
    from so8t.data.safety.train import fit  # last, as scikit-learn takes seconds

    fitted = fit(labelled.texts)
    digest = save_model(
        out,
        fitted.model,
        labels=fitted.labels,
        thresholds=fitted.thresholds,
        trained_on={
            "sha256": labelled.sha256,
            "texts": len(labelled.texts),
            "patterns": len({text.pattern for text in labelled.texts}),
            "labels": labelled.counts(),
        },
        settings=fitted.settings,
    )
    click.echo(f"trained on {counted(len(labelled.texts), 'text')}: {out}")
    click.echo(f"  review from {fitted.thresholds.review:.2f}, block from {fitted.thresholds.block:.2f}")
    click.echo(f"  SHA-256 {digest}")
    for sentence in PURPOSE.values():
        click.echo(f"  {sentence}")


@safety.command()
@click.option("--texts", required=True, type=_path, metavar="FILE", help="Labelled texts it was not trained on.")
@_model
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def evaluate(texts: Path, model: Path | None, as_json: bool) -> None:
    """Judge a classifier: tables by label, language, threshold and topic, and its calibration.

    \b
    Example:
      so8t safety evaluate --texts examples/data/safety_heldout.jsonl
    """
    from so8t.data.safety.evaluate import evaluate as judge
    from so8t.data.safety.evaluate import tables
    from so8t.data.safety.texts import read_texts

    classifier = _loaded(model)
    found = judge(classifier, read_texts(texts).texts)
    if as_json:
        click.echo(msgspec.json.encode({"model": classifier.digest, **msgspec.to_builtins(found)}).decode())
    else:
        click.echo(f"classifier {classifier.digest[:16]} on {counted(found.texts, 'text')}\n")
        click.echo(tables(found), nl=False)


@safety.command()
@click.argument("file", type=click.File("rb"), default="-", metavar="[FILE]")
@_model
@click.option("--field", metavar="NAME", help="Lines are JSON objects, and this key holds the text.")
def classify(file: IO[bytes], model: Path | None, field: str | None) -> None:
    """Say for each line of FILE (or of standard input) its label, score and what to do; never the text.

    The counts come last, on standard error. A text that nobody may keep is answered with its hash.

    \b
    Example:
      so8t safety classify pages.jsonl --field text
    """
    from so8t.data.safety.discard import discard_digest, must_be_discarded
    from so8t.data.safety.taxonomy import Action

    classifier = _loaded(model)
    counts: Counter[str] = Counter()
    for number, text in _texts(file, field):
        verdict = classifier.classify(text)
        counts[verdict.action.value] += 1
        found: dict[str, object] = {
            "line": number,
            "label": verdict.label.value,
            "score": round(verdict.score, 4),
            "action": verdict.action.value,
        }
        if must_be_discarded(verdict):
            found["sha256"] = discard_digest(text)
        click.echo(msgspec.json.encode(found).decode())
    summary = ", ".join(f"{counts[action]} {action}" for action in Action)
    click.echo(f"{counted(counts.total(), 'text')}: {summary}", err=True)


def _loaded(folder: Path | None) -> SafetyClassifier:
    from so8t.data.safety.classifier import SHIPPED, SafetyClassifier

    return SafetyClassifier.load(folder or SHIPPED)


def _texts(file: IO[bytes], field: str | None) -> Iterator[tuple[int, str]]:
    """The lines' numbers and texts; blank lines are passed over."""
    for number, line in enumerate(file, start=1):
        if line.strip():
            yield number, _text_of(line, number, field)


def _text_of(line: bytes, number: int, field: str | None) -> str:
    try:
        if field is None:
            return line.decode("utf-8")
        found = msgspec.json.decode(line, type=dict[str, object]).get(field)
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        # the message of a UnicodeDecodeError shows a byte, that of msgspec a place; neither shows the text
        raise DataError(f"line {number} cannot be read ({error}): give UTF-8, or JSON objects with --field") from error
    if not isinstance(found, str):
        raise DataError(f"line {number} has no text under {field!r}: name the key that holds it with --field")
    return found
