"""`kiseki timestamp`: RFC 3161 in two offline steps, so that the request can be carried to where there is a network."""

from pathlib import Path

import click


@click.group(short_help="Ask for an RFC 3161 time stamp, and keep it.")
def timestamp() -> None:
    """Ask for an RFC 3161 time stamp over a pack or a run, and keep the answer in the pack.

    Nothing is sent from here: carry the request to an authority of your choice and bring back its answer.

    \b
    Example:
      kiseki timestamp request demo.zip -o demo.tsq
      curl -H "Content-Type: application/timestamp-query" --data-binary @demo.tsq AUTHORITY > demo.tsr
      kiseki timestamp attach demo.zip demo.tsr
    """


@timestamp.command("request", short_help="Write a request over FILE or RUN.")
@click.argument("what", type=click.Path(exists=True, path_type=Path), metavar="FILE|RUN")
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="X.tsq",
    help="The request; never overwritten.",
)
def request_(what: Path, out: Path) -> None:
    """Write a request over a pack's statement, or over a run's journal up to its last seal."""
    from kiseki.cli.run_argument import run_folder
    from kiseki.errors import UsageError
    from kiseki.evidence.stamping import digest_to_stamp
    from kiseki.evidence.timestamp import request
    from kiseki.filesystem import write_new

    digest = digest_to_stamp(run_folder(what).root if what.is_dir() else what)
    try:
        write_new(out, request(digest))
    except FileExistsError as error:
        raise UsageError(
            f"{out}: this file exists already and is never overwritten; name another one with -o"
        ) from error
    click.echo(f"{out.as_posix()}  sha256:{digest}")


@timestamp.command("attach", short_help="Put the authority's answer into FILE.zip.")
@click.argument("pack", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE.zip")
@click.argument("response", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="X.tsr")
def attach_(pack: Path, response: Path) -> None:
    """Put the authority's answer into the pack it belongs to, beside what is signed."""
    from kiseki.evidence.stamping import attach

    token, over = attach(pack, response)
    click.echo(f"{pack.as_posix()}: {over} ≤ {token.moment}")
    click.echo("時刻局の署名は openssl ts -verify で確認してください。")
    click.echo("Check the authority's signature with openssl ts -verify.")
