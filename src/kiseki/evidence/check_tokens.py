"""Checks time-stamp tokens: whether each is over something that is in its pack."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from kiseki.evidence.findings import Finding, Said
from kiseki.evidence.pack_files import ENVELOPE, JOURNAL, STATEMENT, is_token, token_name
from kiseki.evidence.timestamp import LARGEST_TOKEN, NotAToken, read_response
from kiseki.evidence.zip_reading import ZipReader
from kiseki.record.line import SEAL
from kiseki.record.reader import JournalReader

_LARGEST_STATEMENT = 1 << 25


def check_tokens(pack: ZipReader, journal: Path) -> Iterator[Finding]:
    """Whether each time-stamp token is over this pack's statement or over a sealed piece of its journal."""
    for name in pack.entries:
        if is_token(name):
            yield _token(pack, name, journal)


def _token(pack: ZipReader, name: str, journal: Path) -> Finding:
    try:
        raw = pack.read(name, LARGEST_TOKEN)
        token = read_response(raw)
    except NotAToken as error:
        said = Said(f"タイムスタンプとして読み取れません：{error}", f"it is no time-stamp token: {error}")
        return Finding("time stamp", "failed", said, name)
    over = stamped(pack, journal, token.sha256)
    if over is None or name != token_name(hashlib.sha256(raw).hexdigest()):
        said = Said("このパックに対するタイムスタンプではありません", "it is over nothing that is in this pack")
        return Finding("time stamp", "failed", said, name)
    said = Said(
        f"{over} は {token.moment} 以前に存在（時刻局の署名は openssl ts -verify で確認してください）",
        f"{over} existed no later than {token.moment}; check the authority's signature with openssl ts -verify",
    )
    return Finding("time stamp", "remark", said, name)


def stamped(pack: ZipReader, journal: Path, sha256: str) -> str | None:
    """What in a pack has this digest: its statement's file, or the journal up to a seal; None for nothing."""
    holder = ENVELOPE if ENVELOPE in pack.entries else STATEMENT
    if hashlib.sha256(pack.read(holder, _LARGEST_STATEMENT)).hexdigest() == sha256:
        return holder
    reader = JournalReader(journal)
    wanted = f'"sha256":"{sha256}"'.encode()
    for (kind, payload, _), _ in reader:
        if kind == SEAL and wanted in payload and not reader.damage:
            return f"{JOURNAL} (head -c {reader.sealed_bytes})"
    return None
