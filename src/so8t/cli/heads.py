"""`so8t heads`: trains the gate's heads on a model that is finished."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kiseki.telling import counted
from so8t.errors import DataError, So8tError

if TYPE_CHECKING:
    from so8t.data.thinking_record import ThinkingRecord
    from so8t.model.head_training import HeadAccuracy

_path = click.Path(path_type=Path)


@click.group()
def heads() -> None:
    """Train the safety heads that the gate of /think asks."""


@heads.command()
@click.argument("run", metavar="RUN", type=_path)
@click.option("--dataset", required=True, type=_path, metavar="FILE", help="Records to learn from.")
@click.option("--eval-dataset", type=_path, metavar="FILE", help="Records to judge the heads on.")
@click.option("--checkpoint", type=_path, metavar="DIR", help="Model to use.  [default: RUN/final]")
@click.option("--model-path", type=_path, metavar="BASE", help="Base model's folder.  [default: as trained]")
@click.option("--whole-state", is_flag=True, help="Let each head read the whole hidden state, not its role's part.")
@click.option("--force", is_flag=True, help="Replace heads that stand there.")
def train(
    run: Path,
    dataset: Path,
    eval_dataset: Path | None,
    checkpoint: Path | None,
    model_path: Path | None,
    whole_state: bool,
    force: bool,
) -> None:
    """Train heads for safety label, domain and verifier scores; the model itself stays as it is.

    They are written beside the gates, as so8t_heads.safetensors.

    \b
    Example:
      so8t heads train runs/demo --dataset examples/data/quadruple_thinking_train.jsonl
    """
    from so8t.cli.bake import find_source
    from so8t.cli.train import quiet_libraries

    records = _records(dataset)
    unseen = _records(eval_dataset) if eval_dataset else []
    source = find_source(run, checkpoint, model_path)
    quiet_libraries()
    from so8t.data.chat import ChatEncoder
    from so8t.data.safety.heads import SAFETY_WEIGHTS, layout_for, rows_of
    from so8t.model.architecture import base_model
    from so8t.model.bake_source import load_gated
    from so8t.model.head_training import judge_heads, train_heads
    from so8t.model.heads import HEADS_FILE, save_heads
    from so8t.training.loading import load_tokenizer

    out = source.checkpoint / HEADS_FILE
    if out.exists() and not force:
        raise So8tError(f"{out} exists: add --force to replace it")
    model, _ = load_gated(source, lambda line: click.echo(line, err=True))
    encoder = ChatEncoder(load_tokenizer(source.checkpoint))
    rows, unseen_rows = rows_of(records, encoder), rows_of(unseen, encoder)
    layout = layout_for(base_model(model).config.hidden_size, split=not whole_state)
    with click.progressbar(length=len(rows), label="reading", file=sys.stderr) as bar:
        trained = train_heads(
            model,
            rows,
            layout,
            safety_weights=SAFETY_WEIGHTS,
            on_progress=lambda done: bar.update(done - bar.pos),
        )
    save_heads(trained, out)
    click.echo(f"heads trained on {counted(len(rows), 'text')} of {counted(len(records), 'record')}: {out}")
    judged = judge_heads(model, trained, unseen_rows or rows)
    click.echo(f"  on {'unseen records' if unseen_rows else 'the same records'}:")
    for line in _shown(judged):
        click.echo(f"    {line}")


def _records(path: Path) -> Sequence[ThinkingRecord]:
    from so8t.data.thinking import read_records

    found = read_records(path)
    if found.problems:
        raise DataError(f"{path} has bad rows ({found.bad_rows}): so8t data validate {path}")
    return found.records


def _shown(judged: HeadAccuracy) -> Iterator[str]:
    yield f"safety right {judged.safety_right:.1%}, too mild {judged.safety_too_mild:.1%}"
    if judged.domain_right is not None:
        yield f"domain right {judged.domain_right:.1%}"
    if judged.verifier_error is not None:
        yield f"verifier off by {judged.verifier_error:.3f} on average"
