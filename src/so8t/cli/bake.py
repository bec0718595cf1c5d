"""`so8t bake`: a trained run becomes a stock checkpoint."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from kiseki.run_folder import RunFolder
from kiseki.telling import counted
from so8t.errors import CheckpointError, So8tError
from so8t.training.checkpoints import (
    CHECKPOINTS,
    GATES_FILE,
    checkpoint_step,
    complete_checkpoints,
    read_origin,
    what_is_missing,
)

if TYPE_CHECKING:
    from rich.console import Console

    from so8t.model.bake import OnStage
    from so8t.model.bake_facts import BakeFacts, Dtype
    from so8t.model.bake_source import Source


_WEIGHTS = ("adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json")


@click.command(short_help="Merge LoRA and gates into a stock checkpoint.")
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="New folder to make.")
@click.option(
    "--checkpoint", metavar="DIR", type=click.Path(path_type=Path), help="Bake this checkpoint.  [default: RUN/final]"
)
@click.option(
    "--model-path",
    metavar="BASE",
    type=click.Path(path_type=Path),
    help="Base model's folder.  [default: the one the run was trained from]",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    show_default=True,
    help="Precision of the stored weights.",
)
@click.option("--no-verify", is_flag=True, help="Do not compare the result with the trained model.")
def bake(run: Path, out: Path, checkpoint: Path | None, model_path: Path | None, dtype: str, no_verify: bool) -> None:
    """Merge what a run trained into ordinary weights: loads with stock transformers, no code of so8t needed.

    LoRA is merged, then each gate's rotation is absorbed by its o_proj (W' = R W, b' = R b). The result is loaded again
    and its logits are compared with the trained model's; where they differ, nothing is kept. The work is done on the
    CPU, with one copy of the model in float32 in memory (about 4 bytes per parameter).

    \b
    Example:
      so8t bake runs/demo --out models/demo-baked
      so8t bake runs/rtx3060 --out models/baked --model-path D:/models/phi-3.5-mini --dtype bfloat16

    Exit code: 0 done, 1 the result does not compute what the trained model computes, 2 wrong use or bad input.
    """
    if os.path.lexists(out):
        raise So8tError(f"{out} exists: choose another folder with --out, or remove it first")
    source = find_source(run, checkpoint, model_path)
    from so8t.cli.train import quiet_libraries

    quiet_libraries()
    from rich.console import Console

    from so8t.model.bake_folder import bake_folder

    console = Console(file=sys.stdout)
    with _shown_stages(console) as on_stage:
        facts = bake_folder(
            source,
            out,
            dtype=cast("Dtype", dtype),
            verify=not no_verify,
            tell=lambda line: _tell(console, line),
            on_stage=on_stage,
        )
    for line in _outcome(facts, out):
        _tell(console, line)


def find_source(run: Path, checkpoint: Path | None, model_path: Path | None) -> Source:
    """What is to be baked, found without loading anything large.

    Args:
        run: the run folder.
        checkpoint: a checkpoint folder, None for the run's final model.
        model_path: the base model's folder, None for the one the checkpoint names.

    Raises:
        CheckpointError: there is no such run or checkpoint, or it is not whole.
        ModelError: the base model is not where it is said to be.
    """
    folder = _checkpoint_folder(run, checkpoint)
    settings, run_id = _settings(run, folder)
    has_gates = (folder / GATES_FILE).is_file()
    if not has_gates and settings.get("so8t", {}).get("enabled") is not False:
        raise CheckpointError(f"{folder} lacks the gates ({GATES_FILE}): name another checkpoint with --checkpoint")
    recorded = settings.get("model", {}).get("base_model")
    if (folder / "adapter_config.json").is_file():
        named = _base_of_adapter(folder) or recorded
        base = model_path or Path(str(named or ""))
        _require_base(base, named, given=model_path is not None)
    else:
        if model_path is not None:
            raise CheckpointError(f"{folder} holds whole weights and needs no base model: leave --model-path out")
        base, named = folder, recorded
    from so8t.model.bake_source import Source  # brings PyTorch along, which takes seconds

    return Source(
        checkpoint=folder,
        base=base,
        base_name=_name(named) or base.resolve().name,
        run_id=run_id,
        has_gates=has_gates,
        quantization=settings.get("quantization", {}),
    )


def _checkpoint_folder(run: Path, checkpoint: Path | None) -> Path:
    if not run.is_dir():
        what = "is a file" if run.exists() else "does not exist"
        raise CheckpointError(f"run folder {run} {what}: name the folder that so8t train wrote")
    folder = checkpoint or run / "final"
    if not folder.is_dir():
        newest = complete_checkpoints(run / CHECKPOINTS)
        advice = f"bake a checkpoint with --checkpoint {newest[-1]}, or" if newest else "let training end, or"
        raise CheckpointError(f"{folder} does not exist: {advice} name another run")
    if not any((folder / name).is_file() for name in _WEIGHTS):
        raise CheckpointError(f"{folder} holds no model: name another checkpoint with --checkpoint")
    if checkpoint_step(folder) is not None and (reason := what_is_missing(folder)) is not None:
        raise CheckpointError(f"{folder} is not complete ({reason}): name another checkpoint with --checkpoint")
    return folder


def _settings(run: Path, checkpoint: Path) -> tuple[Mapping[str, Any], str | None]:
    """The settings of the run and its name, as far as the folder tells them."""
    for folder in (checkpoint, *reversed(complete_checkpoints(run / CHECKPOINTS))):
        origin = read_origin(folder)
        if origin is not None:
            return origin.config, origin.session_id
    config = _json(RunFolder(run).metrics / "config.json").get("config", {})
    return config, _json(run / "training_session.json").get("session_id")


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _base_of_adapter(folder: Path) -> str | None:
    path = folder / "adapter_config.json"
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): name another checkpoint with --checkpoint") from None
    name = content.get("base_model_name_or_path") if isinstance(content, dict) else None
    return name if isinstance(name, str) and name else None


def _require_base(base: Path, named: str | None, *, given: bool) -> None:
    from so8t.training.preflight import check_model_folder

    if not given and not base.is_dir():
        what = f"{named}, the base model of the run, does not exist here" if named else "the run names no base model"
        raise CheckpointError(f"{what}: give its folder with --model-path")
    check_model_folder(base)


def _name(path: str | None) -> str | None:
    """The last part of a path of whatever system; no private folder gets into a model card."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] if path else None


def _outcome(facts: BakeFacts, out: Path) -> Iterator[str]:
    merged = [f"LoRA on {counted(facts.lora.modules, 'module')}"] if facts.lora else []
    merged += [f"gates of {counted(len(facts.gate_layers), 'layer')}"] if facts.gate_layers else []
    yield f"baked / 焼き込み完了: {' and '.join(merged) or 'nothing but the base'}, {facts.dtype}: {out}"
    if facts.max_orthogonality_error is not None:
        yield f"  max |R^T R - I|: {facts.max_orthogonality_error:.2g}"
    found = facts.verification
    if found is None:
        yield "  not compared with the trained model (--no-verify)"
        return
    yield f"  max |logit difference| to the trained model: {found.max_abs_difference:.2g}"
    yield (
        f"  before rounding {found.merge_difference:.2g}, loaded again {found.reload_difference:.2g}, "
        f"allowed {found.allowed:.2g} (largest logit {found.max_abs_logit:.3g})"
    )


def _tell(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _shown_stages(console: Console) -> Iterator[OnStage]:
    """Show stages: one bar on a terminal, a line for each elsewhere."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        shown = ""

        def on_stage(name: str, done: int, total: int | None) -> None:
            nonlocal shown
            if name != shown and not console.is_terminal:
                _tell(console, name)
            if name != shown:
                bar.reset(task, description=name, total=total)
            shown = name
            bar.update(task, completed=done)

        yield on_stage
