"""Where the files that are checked come from: a pack, or the run folder itself."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from kiseki.evidence.zip_reading import ZipReader
from kiseki.run_folder import RunFolder

_BLOCK = 1 << 20


class Source(Protocol):
    """The files of a run by the names they have in its folder."""

    def digest(self, name: str) -> str | None:
        """SHA-256 of a file's content; None where there is no such file."""

    def blocks(self, name: str) -> Iterator[bytes]:
        """Its bytes, piece by piece."""


class PackSource:
    """The files in a pack.

    Args:
        pack: open.
        digests: of its files, as they were found.
    """

    def __init__(self, pack: ZipReader, digests: Mapping[str, str]) -> None:
        self._pack = pack
        self._digests = digests

    def digest(self, name: str) -> str | None:
        """As found when the pack was read."""
        return self._digests.get(name)

    def blocks(self, name: str) -> Iterator[bytes]:
        """Unpacked."""
        return self._pack.blocks(name)


class FolderSource:
    """The files in a run folder; a symbolic link is no file, since what it points at is not the run's."""

    def __init__(self, folder: RunFolder) -> None:
        self._root = folder.root

    def path(self, name: str) -> Path:
        """Where the file stands."""
        return self._root / name

    def is_link(self, name: str) -> bool:
        """Whether it, or a folder on the way to it, is a symbolic link."""
        path = self._root
        for part in name.split("/"):
            path = path / part
            if path.is_symlink():
                return True
        return False

    def digest(self, name: str) -> str | None:
        """Of what stands there now."""
        if self.is_link(name) or not self.path(name).is_file():
            return None
        with self.path(name).open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()

    def blocks(self, name: str) -> Iterator[bytes]:
        """As they stand there now."""
        with self.path(name).open("rb") as content:
            while block := content.read(_BLOCK):
                yield block
