"""Keeps bytes under the name of their own digest: pages, and the robots.txt files and terms that decided about them."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from kiseki.filesystem import write_new
from so8t.data.collect.ledger import CannotWrite

PAGES, ROBOTS_FILES, TERMS_FILES = "pages", "robots", "terms"


class Store:
    """Writes files that are never changed.

    Args:
        root: the collection's folder.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> store = Store(root)
        >>> name = store.keep("pages", b"<p>abc", ".html")
        >>> name, (root / name).read_bytes(), store.keep("pages", b"<p>abc", ".html") == name
        ('pages/d0/d03862b547e5dbb21797bfcbd48bf4c474675e344b706e6445554ab6227de3a1.html', b'<p>abc', True)
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def keep(self, kind: str, content: bytes, suffix: str) -> str:
        """Write content, whole and durable, unless it stands there already.

        Returns:
            The file's path relative to the collection, with forward slashes.

        Raises:
            CannotWrite: the disk refused.
        """
        digest = hashlib.sha256(content).hexdigest()
        name = f"{kind}/{digest[:2]}/{digest}{suffix}"
        try:
            with contextlib.suppress(FileExistsError):
                write_new(self._root / name, content)
        except OSError as error:
            raise CannotWrite(
                f"{self._root / kind} cannot be written: {error.strerror}; free the disk, then run the same command "
                f"again: it goes on where it stopped"
            ) from error
        return name
