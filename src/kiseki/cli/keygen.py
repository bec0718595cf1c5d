"""`kiseki keygen`: the key pair that signs packs."""

from pathlib import Path

import click


@click.command(short_help="Make the key pair that signs packs.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Folder for the two files; the current one by default.",
)
def keygen(out: Path) -> None:
    """Make an Ed25519 key pair: kiseki_ed25519, which stays with you, and kiseki_ed25519.pub, which you give away.

    Give your partner the key id in another way than the packs: in a contract, by telephone. An existing key is never
    overwritten.

    \b
    Example:
      kiseki keygen
      kiseki keygen --out ~/keys
    """
    from kiseki.evidence.keys import generate

    files = generate(out)
    click.echo(f"秘密鍵（渡さない） / private, never give it away: {files.private.as_posix()}")
    click.echo(f"公開鍵（相手に渡す） / public, give it to partners:  {files.public.as_posix()}")
    click.echo(f"鍵ID / key id: {files.key_id}")
