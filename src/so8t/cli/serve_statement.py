"""`so8t serve-statement`: what the audit log of /think says, for the PoC report."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from kiseki.filesystem import write_new
from so8t.cli.audit import DEFAULT_DATABASE
from so8t.errors import So8tError


@click.command("serve-statement", short_help="What the audit log says, for the PoC report.")
@click.option(
    "--db",
    "--database",
    "database",
    envvar="SO8T_DB_PATH",
    default=DEFAULT_DATABASE,
    show_default=True,
    metavar="PATH|URL",
    help="Audit log: SQLite file or postgresql:// URL (also: SO8T_DB_PATH).",
)
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="New file.  [default: standard output]")
def serve_statement(database: str, out: Path | None) -> None:
    """Write gate version, policy digest, chain heads and counts per outcome as JSON; nothing of any one request.

    \b
    Example:
      so8t serve-statement --out serving_statement.json

    Exit code: 0 done, 1 the database does not answer, 2 wrong use or no audit log.
    """
    from so8t.serve.statement import serving_statement

    statement = serving_statement(database, datetime.now(UTC))
    if out is None:
        click.echo(statement, nl=False)
        return
    try:
        write_new(out, statement)
    except FileExistsError:
        raise So8tError(f"{out} exists: choose another file with --out") from None
    except OSError as error:
        raise So8tError(f"{out} cannot be written ({error.strerror}): choose another file with --out") from None
