"""`kiseki verify`: is this record what it was? The first line says yes or no, the exit code too."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kiseki.cli.run_argument import run_folder
from kiseki.errors import UsageError
from kiseki.terminal import language_of, plain

if TYPE_CHECKING:
    from kiseki.evidence.findings import Answer

_HEADINGS = {"ja": ("検査", "結果", "対象", "内容"), "en": ("check", "result", "where", "what")}
_PIPED_WIDTH = 250
"""Columns where nobody looks: a finding stays on one line, for `grep`."""
_STYLES = {"ok": "green", "failed": "bold red", "remark": "yellow", "not checked": "dim"}


@click.command(short_help="Check a pack or a run folder.")
@click.argument("what", type=click.Path(path_type=Path), metavar="FILE|RUN")
@click.option(
    "--key",
    "key_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PUB",
    help="Public key that must have signed; received in another way than the pack.",
)
@click.option(
    "--since", multiple=True, metavar="LINE", help="A line that `kiseki checkpoint` printed earlier; can be repeated."
)
@click.option("--lang", type=click.Choice(["ja", "en"]), help="Language of the table; the run's own by default.")
def verify(what: Path, key_path: Path | None, since: tuple[str, ...], lang: str | None) -> int:
    """Check FILE, a pack, or RUN, a run folder, offline: everything is computed again and nothing is believed.

    Ends with 0 when intact (and signed by the key named, if any), 1 when not intact or not signed although a key was
    named, 3 when intact but signed by a key that was not named.

    \b
    Example:
      kiseki verify demo.zip --key partner.pub
      kiseki verify runs/demo --since "kiseki1 20261124_113355_7ec4c8f2 1843 9f…"
    """
    from kiseki.evidence.checkpoint import parse_checkpoint
    from kiseki.evidence.keys import load_public
    from kiseki.evidence.verify import verify_pack, verify_run

    checkpoints = [parse_checkpoint(line) for line in since]
    named_key = None if key_path is None else load_public(key_path)
    if what.is_dir():
        answer = verify_run(run_folder(what), named_key=named_key, since=checkpoints)
    elif what.exists():
        answer = verify_pack(what, named_key=named_key, since=checkpoints)
    else:
        raise UsageError(f"{what}: there is no such file or folder; name a pack or the output folder of a recorded run")
    show_answer(answer, language_of(lang, answer.language))
    return answer.exit_code


def show_answer(answer: "Answer", language: str, *, err: bool = False) -> None:
    """Print the answer: yes or no first, then the table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from kiseki.evidence.findings import CHECKS, STATES

    side = ("ja", "en").index(language)
    console = Console(highlight=False, stderr=err)
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    console.print(Text(plain(answer.headline[side]), style="bold"), soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in _HEADINGS[language]:
        table.add_column(heading, overflow="fold", no_wrap=heading in _HEADINGS[language][:2])
    for finding in answer.findings:
        where = f"{finding.file}:{finding.line}" if finding.line else finding.file
        state = Text(STATES[finding.state][side], style=_STYLES[finding.state])
        table.add_row(CHECKS[finding.check][side], state, Text(plain(where)), Text(plain(finding.said[side])))
    console.print(table)
