"""`kiseki import`: a run folder made of what another program logged."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kiseki.cli.progress import Progress

if TYPE_CHECKING:
    from kiseki.importers.trainer_state import Imported


@click.command("import", short_help="Make a run of a Hugging Face Trainer's log.")
@click.argument("source", type=click.Path(path_type=Path), metavar="SOURCE")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option("--model-name", default="unknown", show_default=True, metavar="NAME", help="As reports name the model.")
@click.option("--lang", type=click.Choice(["ja", "en"]), default="en", show_default=True, help="Language of texts.")
def import_(source: Path, run: Path, model_name: str, lang: str) -> None:
    """Make a run folder RUN of SOURCE: a trainer_state.json, a checkpoint's folder, or a Trainer's output folder.

    Every record is kept or counted with the reason why not. The record says that it was imported and from what; what
    the source does not say, such as when rows were logged, stays unknown. RUN must not exist or be empty.

    \b
    Example:
      kiseki import outputs/checkpoint-400/trainer_state.json runs/earlier
      kiseki import outputs runs/earlier --model-name borea-phi35
    """
    from kiseki.importers.trainer_state import import_trainer_state

    progress = Progress("importing / 取り込み中")
    imported = import_trainer_state(source, run, model_name=model_name, language=lang, progress=progress)
    for line in _told(imported):
        click.echo(line)
    for warning in imported.warnings:
        click.echo(f"kiseki: warning: {_plain(warning)}", err=True)
    click.echo(f"next: kiseki report {_plain(run.as_posix())}")


def _told(imported: "Imported") -> list[str]:
    counts = imported.counts
    return [
        f"read:    {counts['records']} records in {_plain(imported.name)}, {imported.bytes} bytes, "
        f"sha256 {imported.sha256}",
        *(f"         {_plain(name)}: {_plain(what)}" for name, what in imported.other_files.items()),
        f"taken:   {counts['rows']} training rows, {counts['evaluations']} evaluations, "
        f"{counts['summaries']} summaries, {counts['joined']} joined to a line of their step; "
        f"{counts['not_taken']} not taken",
        f"written: {imported.rows} training rows and {imported.evaluations} evaluations that count, "
        f"by reading the record back",
    ]


def _plain(text: str) -> str:
    """Text that cannot steer the terminal, whatever a file or a metric is called."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
