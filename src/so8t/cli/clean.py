"""`so8t clean`: text from collected pages, without personal and confidential data."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kiseki.telling import counted
from so8t.errors import So8tError

if TYPE_CHECKING:
    from rich.console import Console

    from so8t.data.clean.executors import Runner
    from so8t.data.clean.pipeline import OnProgress
    from so8t.data.privacy import Action, Kind

_PASSES = {
    "clean": "整形・除外 / cleaning",
    "compare": "重複検出 / finding duplicates",
    "write": "書き出し / writing",
    "finish": "集計 / counting",
}


@click.command(short_help="Clean collected text; remove personal data.")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.option("--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="The cleaning's folder.")
@click.option(
    "--executor", type=click.Choice(["local", "slurm", "ray"]), default="local", show_default=True, help="Where to run."
)
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Tasks at a time.")
@click.option("--licence", metavar="NAME", help="Licence of records that state none; without it they are left out.")
@click.option("--tier", metavar="TIER", help="Trust tier of records that state none.")
@click.option(
    "--personal-data",
    "actions",
    multiple=True,
    metavar="KIND=redact|drop",
    help="What to do about a kind of personal data; may be given again.",
)
@click.option(
    "--safety-model", metavar="DIR", type=click.Path(path_type=Path), help="Safety classifier.  [default: so8t's]"
)
@click.option("--slurm-partition", metavar="NAME", help="Partition, with --executor slurm.")
@click.option("--slurm-time", metavar="HH:MM:SS", default="04:00:00", show_default=True, help="Time limit of a task.")
@click.option("--slurm-argument", "slurm_arguments", multiple=True, metavar="NAME=VALUE", help="Further one of sbatch.")
def clean(
    source: Path,
    out: Path,
    executor: str,
    workers: int,
    licence: str | None,
    tier: str | None,
    actions: tuple[str, ...],
    safety_model: Path | None,
    slurm_partition: str | None,
    slurm_time: str,
    slurm_arguments: tuple[str, ...],
) -> None:
    """Clean the pages of `so8t collect`, or JSONL, HTML and text files.

    Blocks: text from HTML, confidential markings, NFKC, language (ja, en), length and quality, personal data, safety
    labels, equal and similar texts, schema. Identity, card and bank numbers drop the text, other personal data is
    replaced by its kind in brackets; only counts are kept. Records stand in DIR/data, counts for the report in
    DIR/data_statement.json. The same command goes on where it was cut off.

    \b
    Example:
      so8t clean collected --out cleaned
      so8t clean own.jsonl --out cleaned --licence CC-BY-4.0 --tier 1 --workers 8
      so8t clean collected --out /shared/cleaned --executor slurm --slurm-partition cpu --workers 64

    Exit code: 0 done, 1 the disk refused or no record is left, 2 wrong use or bad input.
    """
    try:
        from so8t.data.clean.pipeline import run_cleaning
        from so8t.data.clean.settings import Settings
    except ModuleNotFoundError as error:
        raise So8tError(f"cleaning needs {error.name}: pip install 'kiseki[collect]'") from None
    from rich.console import Console

    from so8t.data.safety.classifier import SHIPPED, SafetyClassifier

    model = safety_model or SHIPPED
    runner = _runner(executor, workers, slurm_partition, slurm_time, slurm_arguments)
    settings = Settings(
        licence=licence, tier=tier, actions=_actions(actions), safety_digest=SafetyClassifier.load(model).digest
    )
    console = Console(file=sys.stdout)
    with _shown_progress(console) as on_progress:
        statement = run_cleaning(source, out, settings, runner, partial(SafetyClassifier.load, model), on_progress)
    if statement is None:
        _tell(console, f"submitted / 投入しました: {out}/data_statement.json appears when all is done")
        return
    for line in _summary(statement, out):
        _tell(console, line)
    if not statement["dataset"]["files"]:
        _tell(console, f"no record is left / 残った記録がありません{_hint(statement, source, licence)}")
        click.get_current_context().exit(1)


def _actions(given: tuple[str, ...]) -> dict[Kind, Action]:
    from so8t.data.privacy import DEFAULT_ACTIONS, Action, Kind

    actions = dict(DEFAULT_ACTIONS)
    for one in given:
        kind, _, action = one.partition("=")
        try:
            actions[Kind(kind)] = Action(action)
        except ValueError:
            raise click.BadParameter(
                f"{one!r} is not KIND=redact or KIND=drop; the kinds are {', '.join(Kind)}",
                param_hint="--personal-data",
            ) from None
    return actions


def _runner(executor: str, workers: int, partition: str | None, time: str, arguments: tuple[str, ...]) -> Runner:
    from so8t.data.clean.executors import LocalRunner, RayRunner, Slurm, SlurmRunner

    if executor == "local":
        return LocalRunner(workers)
    if executor == "ray":
        return RayRunner(workers)
    if not partition:
        raise click.UsageError("--executor slurm needs --slurm-partition")
    pairs = [argument.partition("=") for argument in arguments]
    return SlurmRunner(workers, Slurm(partition, time, {name.lstrip("-"): value for name, _, value in pairs}))


def _summary(statement: dict[str, Any], out: Path) -> Iterator[str]:
    yield f"cleaned / 整形結果: {out}"
    blocks = statement["cleaning"]["blocks"]
    width = max(len(block["name"]) for block in blocks)
    for block in blocks:
        reasons = "  ".join(f"{why} {count}" for why, count in block["dropped"].items())
        yield f"  {block['name']:<{width}}  {block['in']:>9,} → {block['out']:>9,}  {reasons}".rstrip()
    redactions = statement["cleaning"]["redactions"]
    kinds = "  ".join(f"{kind} {count}" for kind, count in redactions.items()) or "none"
    yield f"  personal data removed / 個人情報の除去: {kinds}"
    files = statement["dataset"]["files"]
    yield f"  records / 記録数: {sum(file['records'] for file in files):,} in {counted(len(files), 'file')}"


def _hint(statement: dict[str, Any], source: Path, licence: str | None) -> str:
    """What may be the reason that nothing is left."""
    if statement["cleaning"]["blocks"][0]["out"]:
        return "" if licence else "; if records state no licence, name it with --licence and --tier"
    form = "so8t clean reads JSONL, one object a line with the key text, html or file"
    if source.is_file():
        return f"; no line of {source.name} could be read: {form}"
    return f"; nothing in {source.name} could be read: {form}, and HTML and text files"


@contextmanager
def _shown_progress(console: Console) -> Iterator[OnProgress]:
    """Show the passes: a bar on a terminal, a line for each elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        shown = ""

        def on_progress(name: str, done: int, tasks: int) -> None:
            nonlocal shown
            if name != shown and not console.is_terminal:
                _tell(console, f"{_PASSES[name]}: {counted(tasks, 'task')}")
            shown = name
            bar.update(task, description=_PASSES[name], completed=done, total=tasks)

        yield on_progress


def _tell(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
