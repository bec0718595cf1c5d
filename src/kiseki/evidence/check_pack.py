"""Checks a pack as a pack: who signed, what the statement says, whether its files are those and no others."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kiseki.evidence.derived import SUMS, sums
from kiseki.evidence.envelope import Envelope, NotAnEnvelope, canonical, pae, parse, verifies
from kiseki.evidence.findings import Finding, Said, Signer
from kiseki.evidence.keys import key_id, parse_public, public_pem
from kiseki.evidence.pack_files import (
    ENVELOPE,
    JOURNAL,
    MOST_TOKENS,
    PAE,
    SIGNATURE,
    SIGNED,
    SIGNER,
    STATEMENT,
    is_token,
)
from kiseki.evidence.statement import Statement, parse_statement
from kiseki.evidence.zip_layout import is_safe_name
from kiseki.evidence.zip_reading import NotAPack, ZipReader

_LARGEST_STATEMENT = 1 << 25


@dataclass
class PackChecked:
    """What is known of a pack after it was looked at as a pack.

    Attributes:
        findings: what was found.
        signer: who signed it.
        key_id: the signer's, empty without a signature that is right.
        statement: what it states, None where that cannot be read.
        digests: SHA-256 of the files that the statement names, as they are.
        journals: copies of its journals by name; empty where there is none of the run.
    """

    findings: list[Finding] = field(default_factory=list)
    signer: Signer = "none"
    key_id: str = ""
    statement: Statement | None = None
    digests: dict[str, str] = field(default_factory=dict)
    journals: dict[str, Path] = field(default_factory=dict)


def check_pack(pack: ZipReader, scratch: Path, named_key: Ed25519PublicKey | None) -> PackChecked:
    """Check signature, statement, file set and hashes.

    Args:
        pack: open.
        scratch: an empty folder; gets copies of the journals, under names of ours.
        named_key: the key that should have signed.

    Raises:
        NotAPack: a file that is needed cannot be unpacked.
    """
    checked = PackChecked()
    payload = _payload(pack, named_key, checked)
    if payload is None:
        return checked
    try:
        checked.statement = parse_statement(payload)
    except ValueError as error:
        said = Said(f"読み取れません：{error}", f"it cannot be read: {error}")
        checked.findings.append(
            Finding("statement", "failed", said, ENVELOPE if ENVELOPE in pack.entries else STATEMENT)
        )
        return checked
    checked.findings += _file_set(pack, checked.statement)
    checked.findings += _hashes(pack, scratch, checked)
    return checked


def _payload(pack: ZipReader, named_key: Ed25519PublicKey | None, checked: PackChecked) -> bytes | None:
    if (ENVELOPE in pack.entries) == (STATEMENT in pack.entries):
        said = Said(
            f"{ENVELOPE} と {STATEMENT} のどちらか一方が必要です", f"it must hold either {ENVELOPE} or {STATEMENT}"
        )
        checked.findings.append(Finding("statement", "failed", said, ENVELOPE))
        return None
    if STATEMENT in pack.entries:
        said = Said("署名はありません", "nobody has signed it")
        checked.findings.append(Finding("signature", "remark", said))
        return pack.read(STATEMENT, _LARGEST_STATEMENT)
    try:
        content = pack.read(ENVELOPE, _LARGEST_STATEMENT)
        envelope = parse(content)
    except NotAnEnvelope as error:
        said = Said(f"署名の形式が不正です：{error}", f"it is no DSSE envelope: {error}")
        checked.findings.append(Finding("signature", "failed", said, ENVELOPE))
        return None
    _signature(pack, content, envelope, named_key, checked)
    return envelope.payload


def _signature(
    pack: ZipReader, content: bytes, envelope: Envelope, named_key: Ed25519PublicKey | None, checked: PackChecked
) -> None:
    key = named_key
    if key is None or not verifies(envelope, key):
        key = parse_public(pack.read(SIGNER, _LARGEST_STATEMENT)) if SIGNER in pack.entries else None
    if key is None or not verifies(envelope, key):
        said = Said("署名が内容と一致しません", "the signature does not fit what is signed, or the key is missing")
        checked.findings.append(Finding("signature", "failed", said, ENVELOPE))
        return
    checked.key_id = key_id(key)
    checked.signer = "named" if key is named_key else "other"
    said = (
        Said(f"指定された鍵による署名（鍵ID {checked.key_id}）", f"by the key you named (key id {checked.key_id})")
        if key is named_key
        else Said(
            f"指定されていない鍵による署名（鍵ID {checked.key_id}）",
            f"by a key you have not named (key id {checked.key_id})",
        )
    )
    checked.findings.append(Finding("signature", "ok" if key is named_key else "remark", said, ENVELOPE))
    due = {
        ENVELOPE: canonical(envelope, key),
        PAE: pae(envelope.payload),
        SIGNATURE: envelope.signatures[0],
        SIGNER: public_pem(key),
    }
    for name in SIGNED:
        found = (
            content if name == ENVELOPE else pack.read(name, _LARGEST_STATEMENT) if name in pack.entries else due[name]
        )
        if found != due[name]:
            said = Said("署名の内容と一致しません", "it is not what belongs to this signature")
            checked.findings.append(Finding("hashes", "failed", said, name))


def _file_set(pack: ZipReader, statement: Statement) -> Iterator[Finding]:
    own = set(SIGNED) if ENVELOPE in pack.entries else {STATEMENT}
    tokens = {name for name in pack.entries if is_token(name)}
    listed = set(statement.digests)
    missing = (listed | own | {JOURNAL, SUMS}) - set(pack.entries)
    extra = set(pack.entries) - listed - own - tokens
    odd = {name for name in listed if not is_safe_name(name) or name in own or is_token(name)}
    for name in sorted(missing):
        yield Finding("file set", "failed", Said("ありません", "it is missing"), name)
    for name in sorted(extra):
        yield Finding(
            "file set", "failed", Said("署名された一覧にないファイルです", "it is not in the signed list"), name
        )
    for name in sorted(odd):
        yield Finding(
            "file set", "failed", Said("一覧に記載できない名前です", "no list may hold this name"), name[:150]
        )
    if len(tokens) > MOST_TOKENS:
        yield Finding("file set", "failed", Said("タイムスタンプが多すぎます", "there are too many time stamps"))
    if not missing and not extra and not odd:
        count = len(listed)
        yield Finding(
            "file set", "ok", Said(f"{count} ファイル、過不足なし", f"{count} files, none missing, none extra")
        )


def _hashes(pack: ZipReader, scratch: Path, checked: PackChecked) -> Iterator[Finding]:
    assert checked.statement is not None
    stated, sizes = checked.statement.digests, checked.statement.predicate.sizes
    wrong = 0
    for name in pack.entries:
        if name not in stated:
            continue
        try:
            checked.digests[name] = _digest(pack, name, scratch, checked)
        except NotAPack as error:
            wrong += 1
            yield Finding("hashes", "failed", Said(f"読み取れません：{error}", f"it cannot be read: {error}"), name)
            continue
        if checked.digests[name] != stated[name] or pack.entries[name].size != sizes.get(name):
            wrong += 1
            yield Finding(
                "hashes", "failed", Said("署名された値と一致しません", "it is not what the statement says"), name
            )
    if SUMS in checked.digests and pack.read(SUMS, _LARGEST_STATEMENT) != listed_sums(stated):
        wrong += 1
        yield Finding(
            "hashes", "failed", Said("一覧の内容が記載と一致しません", "the list is not that of the statement"), SUMS
        )
    if not wrong:
        yield Finding(
            "hashes", "ok", Said(f"{len(checked.digests)} ファイルすべて一致", f"all {len(checked.digests)} files")
        )


def listed_sums(digests: Mapping[str, str]) -> bytes:
    """What the list of digests in a pack holds: all files of the statement but the list itself."""
    return sums({name: digest for name, digest in digests.items() if name != SUMS})


def _digest(pack: ZipReader, name: str, scratch: Path, checked: PackChecked) -> str:
    """Hash a file, and keep a copy of it where it is a journal."""
    digest = hashlib.sha256()
    if not name.endswith(".jsonl"):
        for block in pack.blocks(name):
            digest.update(block)
        return digest.hexdigest()
    copy = scratch / name if name == JOURNAL else scratch / f"journal-{len(checked.journals)}.jsonl"
    copy.parent.mkdir(exist_ok=True)
    checked.journals[name] = copy
    with copy.open("wb") as out:
        for block in pack.blocks(name):
            digest.update(block)
            out.write(block)
    return digest.hexdigest()
