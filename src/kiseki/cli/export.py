"""`kiseki export`: the record in another program's format."""

from pathlib import Path

import click

from kiseki.cli.progress import Progress
from kiseki.cli.run_argument import run_argument, run_folder
from kiseki.errors import UsageError


@click.command(short_help="Write RUN's metrics for another program.")
@run_argument
@click.option("--to", "target", type=click.Choice(["tensorboard"]), required=True, help="Format.")
@click.option("--overwrite", is_flag=True, help="Replace FILE where it stands already.")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
def export(run: Path, target: str, overwrite: bool, file: Path) -> None:
    """Write the metrics of RUN into FILE for another program.

    FILE may be a folder: the file in it gets the name that TensorBoard expects.

    \b
    Example:
      kiseki export runs/demo --to tensorboard tb/
      tensorboard --logdir tb
    """
    from kiseki.exporters.tensorboard import events_name, write_events
    from kiseki.history import read_history

    history = read_history(run_folder(run))
    if file.is_dir() or not file.suffix:
        file = file / events_name(history)
    if "tfevents" not in file.name:
        raise UsageError(
            f"{file}: TensorBoard only finds files with `tfevents` in their name; name a folder and the file in it "
            f"gets the name {events_name(history)}"
        )
    if file.exists() and not overwrite:
        raise UsageError(f"{file}: it stands there already; add --overwrite to replace it, or name another")
    write_events(history, file, Progress("exporting / 書き出し中"))
    click.echo(file.as_posix())
