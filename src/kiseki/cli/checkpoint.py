"""`kiseki checkpoint`: one line to mail, after which history can only grow."""

from pathlib import Path

import click

from kiseki.cli.run_argument import run_argument, run_folder


@click.command(short_help="Print one line that pins RUN's history so far.")
@run_argument
def checkpoint(run: Path) -> None:
    """Seal RUN's journal and print its length and digest as one line: mail it to whoever should be able to check later.

    Works while training goes on; then the line covers everything up to the last seal, at most a second after a row.
    Later, `kiseki verify RUN --since LINE` shows that nothing before it was changed, and so does
    `head -c BYTES metrics/journal.jsonl | sha256sum`.

    \b
    Example:
      kiseki checkpoint runs/demo
    """
    from kiseki.evidence.checkpoint import take_checkpoint

    click.echo(take_checkpoint(run_folder(run)).line)
