"""`kiseki pack`: a run as one file that somebody else can check."""

from pathlib import Path

import click

from kiseki.cli.progress import Progress
from kiseki.cli.run_argument import run_argument, run_folder
from kiseki.telling import counted

_SNAPSHOT = (
    "学習が記録中のため、最後の封印までを収録しました。 / This run is being recorded: it is packed up to its last seal."
)
_UNSIGNED = (
    "署名はありません。署名するには --sign KEY を指定してください。 / Nobody has signed it: name a key with --sign."
)


@click.command(short_help="Pack RUN as one file that can be checked.")
@run_argument
@click.option(
    "--sign", "key_path", type=click.Path(dir_okay=False, path_type=Path), metavar="KEY", help="Private key that signs."
)
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.zip",
    help="The pack; never overwritten.",
)
@click.option(
    "--confidentiality",
    type=click.Choice(["partner", "public"]),
    default="partner",
    show_default=True,
    help="Who may see it; public leaves out more of configuration and environment, and the full reports.",
)
@click.option("--journal-as-is", is_flag=True, help="Pack a journal although it holds what looks like a secret.")
def pack(run: Path, key_path: Path | None, out: Path, confidentiality: str, journal_as_is: bool) -> int:
    """Pack RUN: journal, metrics, curves, reports, configuration, environment, all listed in a signed statement.

    Weights, checkpoints, data and keys are never packed. What is taken out of configuration and environment can be
    shown later with FILE.zip.salts.json, which stays with you.

    \b
    Example:
      kiseki pack runs/demo --sign kiseki_ed25519 -o demo.zip
      kiseki verify demo.zip --key kiseki_ed25519.pub
    """
    from kiseki.cli.verify import show_answer
    from kiseki.evidence.keys import load_private
    from kiseki.evidence.pack import NotIntact
    from kiseki.evidence.pack import pack as make_pack

    key = None if key_path is None else load_private(key_path)
    try:
        packed = make_pack(
            run_folder(run),
            out,
            key=key,
            confidentiality=confidentiality,
            journal_as_is=journal_as_is,
            progress=Progress("packing / 作成中"),
        )
    except NotIntact as refused:
        show_answer(refused.answer, refused.answer.language, err=True)
        raise
    click.echo(f"{packed.path.as_posix()} ({packed.bytes:,} bytes, {counted(packed.files, 'file')})")
    click.echo(_UNSIGNED if packed.key_id is None else f"鍵ID / key id: {packed.key_id}")
    if packed.snapshot:
        click.echo(_SNAPSHOT)
    for one in packed.contents.redacted:
        click.echo(f"  {one.path}: {one.removed} 項目を伏せました / value(s) taken out")
    for left in packed.contents.withheld:
        click.echo(f"  {left.path}: 収録していません / left out ({left.why})")
    if packed.salts is not None:
        click.echo(f"開示用（渡さない） / opens what was taken out, keep it: {packed.salts.as_posix()}")
    return 0
