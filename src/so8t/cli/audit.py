"""`so8t audit`: makes keys, checks, shows, exports and proves what the audit log of `/think` holds."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kiseki.filesystem import write_new
from kiseki.telling import counted
from so8t.serve.audit.errors import AuditInputError

if TYPE_CHECKING:
    from so8t.serve.audit.chain import Head
    from so8t.serve.audit.rows import Row

DEFAULT_DATABASE = "database/so8t_compliance.db"

_database = click.option(
    "--db",
    "--database",
    "database",
    envvar="SO8T_DB_PATH",
    default=DEFAULT_DATABASE,
    show_default=True,
    metavar="PATH|URL",
    help="SQLite file or postgresql:// URL (also: SO8T_DB_PATH; keeps a password off the process list).",
)
_keys = click.option(
    "--key",
    "key_files",
    envvar="SO8T_AUDIT_HMAC_KEY_FILE",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Key file, those of earlier times too; may be repeated (also: SO8T_AUDIT_HMAC_KEY_FILE).",
)


@click.group()
def audit() -> None:
    """Check and read the audit log of /think. It holds keyed digests, labels and numbers, never a text."""


@audit.command()
@click.argument("file", type=click.Path(path_type=Path))
def keygen(file: Path) -> None:
    """Make a new secret key in FILE (mode 0600); nothing is overwritten.

    To rotate, make another file, start the server with it, and keep the old one: earlier rows need it.

    \b
    Example:
      so8t audit keygen keys/audit-2026.key

    Exit code: 0 made, 2 FILE exists or cannot be written.
    """
    from so8t.serve.audit.keys import create_key

    click.echo(f"key {create_key(file).key_id}: {file} (keep a copy where the database's backups are not)")


@audit.command()
@_database
@_keys
@click.option(
    "--since", metavar="HEADS", help="Heads of an earlier check, or a file with them: rows up to there must stand."
)
@click.option("--write-heads", metavar="FILE", type=click.Path(path_type=Path), help="Write the heads to a new file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.pass_context
def verify(
    context: click.Context,
    database: str,
    key_files: tuple[Path, ...],
    since: str | None,
    write_heads: Path | None,
    as_json: bool,
) -> None:
    """Check every row: unchanged, in order, none missing, written by the server.

    Rows cut off at the end are only noticed with --since: keep the heads somewhere else.

    \b
    Example:
      so8t audit verify --key keys/audit-2026.key --write-heads heads-november.txt
      so8t audit verify --key keys/audit-2026.key --since heads-october.txt

    Exit code: 0 whole, 1 something is wrong or the database does not answer, 2 wrong use.
    """
    import msgspec

    from so8t.serve.audit.keys import load_keys
    from so8t.serve.audit.reader import opened, rows_in_order
    from so8t.serve.audit.verify import verify as check

    keys, remembered = load_keys(key_files), _remembered(since)
    with opened(database) as connection:
        found = check(rows_in_order(connection), keys, remembered)
    if as_json:
        click.echo(msgspec.json.encode({**msgspec.to_builtins(found), "heads": [str(head) for head in found.heads]}))
    else:
        for finding in found.findings:
            click.echo(str(finding))
        for head in found.heads:
            click.echo(f"head {head}")
        how = "chains and keyed digests" if found.with_keys else "chains only, without keys (--key)"
        state = f"{counted(len(found.findings), 'finding')}" if found.findings else "whole"
        click.echo(f"{counted(found.rows, 'row')} in {counted(len(found.heads), 'chain')}: {state} ({how})")
    if found.findings:
        context.exit(1)
    if write_heads is not None:
        _write(write_heads, [f"{head}\n".encode() for head in found.heads])


@audit.command()
@click.argument("audit_id", required=False)
@_database
@click.option(
    "--last", type=click.IntRange(min=0), default=10, show_default=True, metavar="N", help="Newest rows to show."
)
def show(audit_id: str | None, database: str, last: int) -> None:
    """Show one row whole, or counts by outcome, heads and the newest rows.

    \b
    Example:
      so8t audit show
      so8t audit show 9b2f4c0e8d6a4b1fa1c3d5e7f9012345

    Exit code: 0 shown, 1 the database does not answer, 2 wrong use.
    """
    from so8t.serve.audit import reader

    with reader.opened(database) as connection:
        if audit_id is not None:
            for name, value in reader.find_row(connection, audit_id).items():
                click.echo(f"{name:<26}{'-' if value is None else value}")
            return
        counts = reader.outcome_counts(connection)
        heads, rows = reader.heads(connection), reader.last_rows(connection, last)
    for outcome, count in counts.items():
        click.echo(f"{outcome:<20}{count:>10}")
    for head in heads:
        click.echo(f"head {head}")
    for row in rows:
        click.echo(_line(row))


@audit.command()
@_database
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="New file to write.  [default: stdout]")
def export(database: str, form: str, out: Path | None) -> None:
    """Write all rows, chain by chain; the same rows give the same bytes.

    \b
    Example:
      so8t audit export --format csv --out audit-november.csv

    Exit code: 0 written, 1 the database does not answer, 2 wrong use.
    """
    from so8t.serve.audit.export import to_csv, to_jsonl
    from so8t.serve.audit.reader import opened, rows_in_order

    with opened(database) as connection:
        lines = {"jsonl": to_jsonl, "csv": to_csv}[form](rows_in_order(connection))
        if out is not None:
            _write(out, lines)
            return
        for line in lines:
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


@audit.command()
@click.argument("audit_id")
@click.argument("texts", nargs=-1, required=True, metavar="NAME=FILE...")
@_database
@_keys
@click.pass_context
def prove(
    context: click.Context, audit_id: str, texts: tuple[str, ...], database: str, key_files: tuple[Path, ...]
) -> None:
    """Show that the text in FILE is the one that was hashed.

    NAME is user, query, answer, task, safety, policy, final or raw.
    `raw` is the whole generated text with its tags. The bytes of the file are taken as they are; a line end at its very
    end may be one that an editor added. Given task, safety and policy, they are checked together as well.

    \b
    Example:
      so8t audit prove 9b2f4c0e8d6a4b1fa1c3d5e7f9012345 task=task.txt final=final.txt --key keys/audit-2026.key

    Exit code: 0 all are, 1 one is not or the row was changed, 2 wrong use.
    """
    from so8t.serve.audit.keys import load_keys
    from so8t.serve.audit.prove import prove as compare
    from so8t.serve.audit.reader import find_row, opened

    keys, given = load_keys(key_files), _texts(texts)
    with opened(database) as connection:
        row = find_row(connection, audit_id)
    found = compare(row, keys, given)
    shorter = {name: text.removesuffix("\n").removesuffix("\r") for name, text in given.items()}
    found = {name: found[name] or same for name, same in compare(row, keys, shorter).items()}
    for name, same in found.items():
        click.echo(f"{name}: {'is the text that was hashed' if same else 'is NOT the text that was hashed'}")
    if not all(found.values()):
        context.exit(1)


def _remembered(since: str | None) -> tuple[Head, ...]:
    if since is None:
        return ()
    try:
        return _heads(since)
    except AuditInputError as no_heads:
        try:
            content = _read(Path(since))
        except AuditInputError as no_file:
            raise (no_heads if ":" in since else no_file) from None
    return _heads(content)


def _heads(text: str) -> tuple[Head, ...]:
    from so8t.serve.audit.chain import Head

    if not text.strip():
        raise AuditInputError("there is no chain head: each is written WRITER:SEQ:HASH, as so8t audit verify prints it")
    return tuple(map(Head.parse, text.split()))


def _texts(given: Iterable[str]) -> Mapping[str, str]:
    texts = {}
    for word in given:
        name, sign, file = word.partition("=")
        if not sign:
            raise AuditInputError(f"{word} is not NAME=FILE: write for example task=task.txt")
        texts[name] = _read(Path(file))
    return texts


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8", "surrogatepass")
    except OSError as error:
        raise AuditInputError(f"{file} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise AuditInputError(f"{file} is not UTF-8") from None


def _write(file: Path, parts: Iterable[bytes]) -> None:
    try:
        write_new(file, parts)
    except FileExistsError:
        raise AuditInputError(f"{file} exists and is not overwritten: name another file") from None
    except OSError as error:
        raise AuditInputError(f"{file} cannot be written ({error.strerror})") from None


def _line(row: Row) -> str:
    shown = ("ts_utc", "audit_id", "outcome", "safety_label", "latency_ms", "error_code")
    return "  ".join(str(row[name]) for name in shown if row[name] is not None)
