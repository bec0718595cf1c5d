"""`so8t data statement`: where a dataset comes from, in one file that the report takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from kiseki.telling import counted
from so8t.errors import So8tError

_path = click.Path(path_type=Path)


@click.command()
@click.option("--collected", type=_path, metavar="DIR", help="Folder of so8t collect: sources and pages.")
@click.option("--cleaned", type=_path, metavar="DIR", help="Folder of so8t clean: what was left out and redacted.")
@click.option(
    "--dataset",
    "files",
    multiple=True,
    type=_path,
    metavar="FILE",
    help="JSONL file of the dataset; may be given again.  [default: the files of --cleaned]",
)
@click.option("-o", "--out", required=True, type=_path, metavar="FILE", help="The statement to write.")
@click.option("--name", metavar="NAME", help="Name of the dataset.  [default: name of the statement's folder]")
@click.option("--croissant", type=_path, metavar="FILE", help="Also describe the dataset in Croissant 1.0.")
@click.option("--url", metavar="URL", help="The dataset's page, for Croissant.")
@click.option("--creator", metavar="NAME", help="The organisation that made the dataset, for Croissant.")
def statement(
    collected: Path | None,
    cleaned: Path | None,
    files: tuple[Path, ...],
    out: Path,
    name: str | None,
    croissant: Path | None,
    url: str | None,
    creator: str | None,
) -> None:
    """State where a dataset comes from, how it was cleaned and which files it is.

    Sources are counted from the sealed ledger, digests and labels from the files. Name the result as data.statement
    in the training configuration, or to `kiseki report --data-statement`.

    \b
    Example:
      so8t data statement --collected collected --cleaned cleaned --dataset train.jsonl -o data_statement.json

    Exit code: 0 done, 2 wrong use or bad input.
    """
    # whoever only validates does not wait for these
    from kiseki.record.clock import SystemClock, TimestampWriter
    from so8t.data.croissant import croissant as describe
    from so8t.data.statement import data_statement

    if croissant is not None and not (url and creator):
        raise click.UsageError("--croissant needs --url and --creator: the format does not do without")
    stated, described = data_statement(
        files,
        generated_at=TimestampWriter()(SystemClock().wall_nanoseconds()),
        name=name or out.resolve().parent.name,
        folder=out.parent,
        collected=collected,
        cleaned=cleaned,
    )
    _write(out, stated)
    if croissant is not None:
        _write(croissant, describe(stated, described, url=url or "", creator=creator or ""))
    for line in _summary(stated):
        click.echo(line)
    click.echo(f"statement / データ説明書: {out}")


def _write(path: Path, content: Mapping[str, Any]) -> None:
    from kiseki.filesystem import replacing

    try:
        with replacing(path) as out:
            out.write(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
    except OSError as error:
        raise So8tError(f"{path} cannot be written: {error.strerror or error}; choose another file") from error


def _summary(stated: Mapping[str, Any]) -> Iterator[str]:
    yield "counts for the report / 報告書に載る件数"
    for source in stated.get("sources", []):
        reviewed = source["reviewed_at"] or "not reviewed / 未確認"
        yield f"  {source['id']}  tier {source['tier']}  {source['licence']}  {reviewed}  {_counts(source['pages'])}"
    if cleaning := stated.get("cleaning"):
        for block in cleaning["blocks"]:
            if block["dropped"]:
                yield f"  {block['name']}  {block['in']:,} → {block['out']:,}  {_counts(block['dropped'])}"
        yield f"  personal data removed / 個人情報の除去  {_counts(cleaning['redactions'])}"
    for file in stated["dataset"]["files"]:
        yield f"  {file['path']}  {counted(file['records'], 'record', ',')}  sha256 {file['sha256']}"
    nsfw = stated["nsfw"]
    yield f"  NSFW  {counted(nsfw['records'], 'record', ',')}  {_counts(nsfw['labels'])}"
    yield from (f"  {sentence}" for sentence in nsfw["purpose"].values())


def _counts(counts: Mapping[str, int]) -> str:
    return "  ".join(f"{what} {count:,}" for what, count in counts.items() if count) or "none"
