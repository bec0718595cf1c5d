"""The cleaned record, and the block that lets nothing else through."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from kiseki.filesystem import replacing, sweep_temporaries
from so8t.data.clean.block import Block
from so8t.data.clean.settings import Settings

_NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]
_Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Moment = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?$")]


class CleanSource(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """Where a text comes from.

    Attributes:
        tier: how far the source is trusted, for example "1".
        license: SPDX identifier or the name of the terms.
        id: the source's name in the registry.
        url: address of the page.
        retrieved_at: ISO 8601.
        sha256: digest of the page as it was fetched.
    """

    tier: _NonEmpty
    license: _NonEmpty
    id: _NonEmpty | None = None
    url: _NonEmpty | None = None
    retrieved_at: _Moment | None = None
    sha256: _Digest | None = None


class CleanRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the cleaned data.

    Attributes:
        schema_version: always "1".
        id: first 16 hexadecimal digits of the text's SHA-256.
        language: of the text.
        text: in NFKC, without personal data.
        source: origin and licence.
        title: of the page, cleaned like the text.
    """

    schema_version: Literal["1"]
    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    language: Literal["ja", "en"]
    text: _NonEmpty
    source: CleanSource
    title: _NonEmpty | None = None


class Schema(Block):
    """Makes the record, and leaves out what cannot be one.

    Args:
        settings: with licence and tier of records that state none.
    """

    name = "schema"

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._licence, self._tier = settings.licence, settings.tier

    def judge(self, document: Document) -> str | None:
        """Put the record's bytes in the document's place."""
        known = document.metadata
        licence, tier = known["licence"] or self._licence, known["tier"] or self._tier
        if not licence:
            return "without licence"
        if not tier:
            return "without tier"
        try:
            document.metadata = {"record": encode_record(document, licence, tier)}
        except msgspec.ValidationError:
            # the message names a field, but may show what stands in it
            return "invalid"
        return None


def encode_record(document: Document, licence: str, tier: str) -> bytes:
    """The line of a document.

    Raises:
        msgspec.ValidationError: a field is not what it must be.
    """
    known = document.metadata
    encoded = msgspec.json.encode(
        CleanRecord(
            schema_version="1",
            id=hashlib.sha256(document.text.encode()).hexdigest()[:16],
            language=known["language"],
            text=document.text,
            title=known["title"] or None,
            source=CleanSource(
                tier=tier,
                license=licence,
                id=known["source_id"] or None,
                url=known["url"] or None,
                retrieved_at=known["retrieved_at"] or None,
                sha256=known["sha256"] or None,
            ),
        )
    )
    # reading it back is what checks it: constructors do not
    msgspec.json.decode(encoded, type=CleanRecord)
    return encoded


class Write(PipelineStep):  # type: ignore[misc]
    """Writes a task's records.

    Args:
        folder: where to.
    """

    type = "clean"
    name = "write"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def run(self, data: Iterable[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Write everything, or leave nothing; a task without records makes no file."""
        target = self._folder / f"part-{rank:05d}.jsonl"
        sweep_temporaries(target)
        first = next(iterator := iter(data), None)
        if first is None:
            target.unlink(missing_ok=True)
            return
        with replacing(target) as out:
            document: Document | None = first
            while document is not None:
                out.write(document.metadata["record"] + b"\n")
                yield document
                document = next(iterator, None)
