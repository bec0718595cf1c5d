"""Time stamps for packs and runs: which digest to have stamped, and a token put into the pack it belongs to."""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

from kiseki.errors import UsageError
from kiseki.evidence.check_tokens import stamped
from kiseki.evidence.checkpoint import take_checkpoint
from kiseki.evidence.pack_files import ENVELOPE, JOURNAL, MOST_TOKENS, STATEMENT, is_token, token_name
from kiseki.evidence.rebuild import place_journal
from kiseki.evidence.timestamp import LARGEST_TOKEN, NotAToken, Token, read_response
from kiseki.evidence.zip_reading import NotAPack, ZipReader
from kiseki.evidence.zip_writing import ZipWriter
from kiseki.filesystem import replacing
from kiseki.run_folder import RunFolder

_LARGEST_STATEMENT = 1 << 25


def digest_to_stamp(what: Path) -> str:
    """What an authority is asked to stamp: a pack's statement with its signature, or a run's journal to its last seal.

    Raises:
        UsageError: the file is no pack.
        RunFolderError, JournalDamaged: the folder holds no record that can be sealed.
    """
    if what.is_dir():
        return take_checkpoint(RunFolder(what)).sha256
    try:
        with ZipReader(what) as pack:
            holder = ENVELOPE if ENVELOPE in pack.entries else STATEMENT
            return hashlib.sha256(pack.read(holder, _LARGEST_STATEMENT)).hexdigest()
    except (NotAPack, KeyError) as error:
        raise UsageError(f"{what}: this is no pack of kiseki ({error}); name a pack or a run folder") from error


def attach(path: Path, response: Path) -> tuple[Token, str]:
    """Put an authority's answer into a pack, beside what is signed; the pack is replaced whole or stays as it was.

    Args:
        path: the pack.
        response: the `.tsr` file.

    Returns:
        The token, and what in the pack it is over.

    Raises:
        UsageError: no pack, no token, or a token over something that is not in this pack.
        OSError: the disk refused; the pack is as it was.
    """
    with response.open("rb") as content:
        raw = content.read(LARGEST_TOKEN + 1)
    try:
        token = read_response(raw)
    except NotAToken as error:
        raise UsageError(f"{response}: this is no time-stamp response: {error}; name the .tsr file") from error
    name = token_name(hashlib.sha256(raw).hexdigest())
    try:
        with ZipReader(path) as pack, TemporaryDirectory(prefix="kiseki-attach-") as scratch:
            over = stamped(pack, place_journal(pack.blocks(JOURNAL), Path(scratch)).journal, token.sha256)
            if over is None:
                raise UsageError(
                    f"{response}: it stamps {token.sha256[:16]}…, neither this pack's statement nor a seal of its "
                    f"journal; name the pack that the request was made for"
                )
            if name not in pack.entries:
                _rewrite(path, pack, name, raw)
            return token, over
    except (NotAPack, KeyError) as error:
        raise UsageError(f"{path}: this is no pack of kiseki ({error})") from error


def _rewrite(path: Path, pack: ZipReader, name: str, raw: bytes) -> None:
    if sum(map(is_token, pack.entries)) >= MOST_TOKENS:
        raise UsageError(f"{path}: a pack holds at most {MOST_TOKENS} time stamps")
    with replacing(path) as out:
        writer = ZipWriter(out, pack.moment)
        for one in sorted([*pack.entries, name]):
            writer.add(one, [raw] if one == name else pack.blocks(one))
        writer.finish()
