"""Croissant 1.0: what the specification requires is there, and every reference leads somewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from so8t.data.clean.schema import CleanRecord
from so8t.data.croissant import croissant
from so8t.data.safety.purpose import PURPOSE_EN
from so8t.data.statement import data_statement
from so8t.data.thinking_record import ThinkingRecord

REQUIRED = {
    # specification 1.0, "Dataset-level Information": required; "Modified and Added Properties": distribution
    "sc:Dataset": ("@context", "conformsTo", "description", "license", "name", "url", "creator", "datePublished",
                   "distribution"),
    # "FileObject", "RecordSet", "Field", "DataSource"
    "cr:FileObject": ("@id", "name", "contentUrl", "contentSize", "encodingFormat", "sha256"),
    "cr:RecordSet": ("@id", "field"),
    "cr:Field": ("@id", "dataType", "source"),
}  # fmt: skip


@pytest.fixture
def described(tmp_path: Path, make_row: Callable[..., Any], write_rows: Callable[..., Path]) -> dict[str, Any]:
    nsfw = make_row(final="お断りします。", safety_label="DENY", domain_label="nsfw_adult")
    train = write_rows(make_row(), nsfw, name="train.jsonl")
    source = {"tier": "1", "license": "the ministry's terms 2.0"}
    text = {"schema_version": "1", "id": "0" * 16, "language": "en", "text": "A text.", "source": source}
    texts = tmp_path / "texts.jsonl"
    texts.write_bytes(msgspec.json.encode(text) + b"\n")
    statement, files = data_statement([train, texts], generated_at="2026-11-24T01:02:03Z", name="d", folder=tmp_path)
    return croissant(statement, files, url="https://example.org/d", creator="Example")


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in it."""
    if isinstance(value, dict):
        yield value
        for key, one in value.items():
            if key != "@context":
                yield from nodes(one)
    elif isinstance(value, list):
        for one in value:
            yield from nodes(one)


def test_everything_the_specification_requires_is_there(described: dict[str, Any]) -> None:
    seen = set()
    for node in nodes(described):
        for key in REQUIRED.get(node.get("@type", ""), ()):
            assert node.get(key), (node["@type"], key)
            seen.add(node["@type"])
    assert seen == set(REQUIRED)
    assert described["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert described["@context"]["conformsTo"] == "dct:conformsTo"


def test_every_identifier_is_given_once_and_every_reference_leads_to_one(described: dict[str, Any]) -> None:
    given = [node["@id"] for node in nodes(described) if "@id" in node and len(node) > 1]
    references = [node["@id"] for node in nodes(described) if set(node) == {"@id"}]
    assert len(given) == len(set(given))
    assert references
    assert set(references) <= set(given)


def test_every_term_is_one_of_the_context_or_of_schema_org(described: dict[str, Any]) -> None:
    schema_org = {"name", "description", "license", "url", "creator", "datePublished", "inLanguage", "distribution",
                  "contentUrl", "contentSize", "encodingFormat", "sha256"}  # fmt: skip
    prefixes = {"rai", "sc", "cr", "dct"}
    for node in nodes(described):
        for key in node:
            known = key.startswith("@") or key in schema_org or key in described["@context"]
            assert known or key.partition(":")[0] in prefixes, key


def test_a_field_is_described_for_every_place_of_the_record_that_bears_text(described: dict[str, Any]) -> None:
    for record_set, record in zip(described["recordSet"], (ThinkingRecord, CleanRecord), strict=True):
        paths = [field["source"]["extract"]["jsonPath"].removeprefix("$.").split(".") for field in record_set["field"]]
        for first, *rest in paths:
            assert first in record.__struct_fields__, first
            for name in rest:
                inner = msgspec.inspect.type_info(record)
                (field,) = [one for one in inner.fields if one.name == first]  # type: ignore[attr-defined]
                assert name in field.type.cls.__struct_fields__, name
        left = set(record.__struct_fields__) - {first for first, *_ in paths}
        assert left <= {"schema_version", "system", "verifier", "split"}


def test_a_known_licence_is_its_address_and_another_keeps_its_name(described: dict[str, Any]) -> None:
    assert described["license"] == [
        "https://spdx.org/licenses/CC0-1.0.html",
        {"@type": "sc:CreativeWork", "name": "the ministry's terms 2.0"},
    ]


def test_what_nsfw_text_is_for_is_said_where_it_is_used(described: dict[str, Any]) -> None:
    assert PURPOSE_EN in described["description"]
    assert described["rai:dataUseCases"] == PURPOSE_EN
