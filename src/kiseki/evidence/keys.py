"""Ed25519 keys in files that `openssl` reads: PKCS #8 for the private one, SubjectPublicKeyInfo for the public one."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from kiseki.errors import UsageError
from kiseki.evidence.private_file import write_private
from kiseki.filesystem import write_new
from kiseki.run_folder import RunFolder

PRIVATE_NAME = "kiseki_ed25519"
PUBLIC_NAME = "kiseki_ed25519.pub"
_LARGEST_KEY_FILE = 1 << 16


class KeyFiles(NamedTuple):
    """A key pair that was written."""

    private: Path
    public: Path
    key_id: str


def generate(out: Path) -> KeyFiles:
    """Make a key pair in a folder: both files or none, and never over another.

    Args:
        out: the folder; made when missing.

    Raises:
        UsageError: one of the files stands there already, or the folder lies in a run folder, whose files are shown
            to others.
        OSError: the files cannot be written.
    """
    inside = _run_folder_around(out)
    if inside is not None:
        raise UsageError(
            f"{out}: this is inside the run folder {inside}, which is handed to others; name another folder with --out"
        )
    private, public = out / PRIVATE_NAME, out / PUBLIC_NAME
    for path in (private, public):
        if path.exists() or path.is_symlink():
            raise UsageError(
                f"{path}: a key stands here already and is never overwritten; use it, or name another folder with --out"
            )
    key = Ed25519PrivateKey.generate()
    out.mkdir(parents=True, exist_ok=True)
    write_private(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    try:
        write_new(public, public_pem(key.public_key()))
    except BaseException:
        private.unlink(missing_ok=True)
        raise
    return KeyFiles(private, public, key_id(key.public_key()))


def load_private(path: Path) -> Ed25519PrivateKey:
    """Read the key that signs.

    Raises:
        UsageError: it cannot be read, is encrypted, or is no Ed25519 private key.
    """
    try:
        key = load_pem_private_key(_content(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"{path}: this is no unencrypted private key in PEM; name the file that `kiseki keygen` wrote"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path}: this is no Ed25519 key; make one with `kiseki keygen`")
    return key


def load_public(path: Path) -> Ed25519PublicKey:
    """Read the key that a signature is checked with.

    Raises:
        UsageError: it cannot be read, or is no Ed25519 public key.
    """
    content = _content(path)
    key = parse_public(content)
    if key is None:
        private = b"PRIVATE KEY" in content
        hint = (
            f"this is a private key; name its public half, {path}.pub" if private else "this is no Ed25519 public key"
        )
        raise UsageError(f"{path}: {hint}; a public key is a file like {PUBLIC_NAME}, in PEM")
    return key


def parse_public(pem: bytes) -> Ed25519PublicKey | None:
    """The public key in a PEM text; None when it holds none of Ed25519."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PublicKey) else None


def public_pem(key: Ed25519PublicKey) -> bytes:
    """The key as `openssl pkey -pubin` reads it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def key_id(key: Ed25519PublicKey) -> str:
    """SHA-256 of the key's DER SubjectPublicKeyInfo, in hexadecimal: what one reads to the other on the telephone.

    `openssl pkey -pubin -in kiseki_ed25519.pub -outform DER | sha256sum` prints it too.
    """
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as content:
            return content.read(_LARGEST_KEY_FILE)
    except OSError as error:
        raise UsageError(f"{path}: the key cannot be read ({error.strerror}); check the path") from error


def _run_folder_around(folder: Path) -> Path | None:
    whole = folder.resolve()
    return next((parent for parent in (whole, *whole.parents) if RunFolder(parent).journal.exists()), None)
