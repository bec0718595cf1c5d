"""The dataset described for catalogues and loaders: Croissant 1.0, a JSON-LD vocabulary on top of schema.org.

Source: Croissant Format Specification 1.0, MLCommons, 2024-03-01, http://mlcommons.org/croissant/1.0; required
properties: section "Dataset-level Information", context: appendix 1. Properties `rai:` are those of its extension for
responsible use, http://mlcommons.org/croissant/RAI/1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from so8t.data.safety.purpose import PURPOSE_EN
from so8t.data.statement import DatasetFile

__all__ = ["CONFORMS_TO", "croissant"]

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
"""The specification the description keeps; it must name exactly one."""

_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

_SOURCE_FIELDS = (
    ("source.license", "Licence of the row."),
    ("source.tier", "How far its source is trusted."),
    ("source.url", "Address it comes from, where there is one."),
    ("source.retrieved_at", "When it was fetched or written."),
)
_FIELDS = {
    "text": (
        ("id", "First 16 hexadecimal digits of the text's SHA-256."),
        ("language", "ja or en."),
        ("title", "Title of the page."),
        ("text", "The text, in NFKC; personal data is replaced by its kind in brackets."),
        *_SOURCE_FIELDS,
    ),
    "thinking": (
        ("id", "First 16 hexadecimal digits of the SHA-256 of the row's content."),
        ("language", "Language of the answer, ja or en."),
        ("instruction", "What the user asks."),
        ("input", "Material the instruction speaks about."),
        ("thinking.task", "First thought: the task. Internal, never shown to a user."),
        ("thinking.safety", "Second thought: safety. Internal."),
        ("thinking.policy", "Third thought: policy. Internal."),
        ("final", "The answer the user sees."),
        ("safety_label", "What the system is to do: ALLOW, ESCALATION, DENY or REFUSE."),
        ("policy_domain", "Which policy the decision rests on."),
        ("domain_label", "Field of the request."),
        *_SOURCE_FIELDS,
    ),
}

_ENCODING = "application/jsonlines"
_SPDX = re.compile(r"(?:CC0|CC-BY|CC-PDDC|ODC|ODbL|PDDL|CDLA|MIT|Apache|BSD)(?:-[A-Za-z0-9.]+)*")


def croissant(statement: Mapping[str, Any], files: Sequence[DatasetFile], *, url: str, creator: str) -> dict[str, Any]:
    """Describe a dataset.

    Args:
        statement: its data statement (`so8t.data.statement.data_statement`).
        files: the files it is about, in the same order.
        url: the dataset's page.
        creator: the organisation that made it.

    Returns:
        The JSON-LD object. Files are named as in the statement, relative to it.

    Example:
        >>> croissant({"dataset": {"name": "d", "files": [], "licences": {"CC-BY-4.0": 1}, "languages": {"ja": 1}},
        ...            "nsfw": {"used": False}, "generated_at": "2026-11-24T00:00:00Z"}, [],
        ...           url="https://example.org/d", creator="Example")["license"]
        ['https://spdx.org/licenses/CC-BY-4.0.html']
    """
    dataset = statement["dataset"]
    names = [one["path"] for one in dataset["files"]]
    return {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": dataset["name"],
        "description": "".join(_description(statement, files)),
        "license": [_licence(name) for name in dataset["licences"]],
        "url": url,
        "creator": {"@type": "sc:Organization", "name": creator},
        "datePublished": statement["generated_at"][:10],
        "inLanguage": list(dataset["languages"]),
        "distribution": [_file_object(one) for one in dataset["files"]],
        "recordSet": [_record_set(name, file.kind) for name, file in zip(names, files, strict=True)],
        **_responsible_use(statement),
    }


def _description(statement: Mapping[str, Any], files: Sequence[DatasetFile]) -> Iterator[str]:
    records = sum(file.records for file in files)
    yield f"{records} records in {' and '.join(statement['dataset']['languages'])}"
    if statement.get("sources"):
        yield ", collected by rule from reviewed sources"
    if statement.get("cleaning"):
        yield ", cleaned of personal and confidential data"
    yield "."
    if statement["nsfw"]["used"]:
        yield f" {PURPOSE_EN}"


def _licence(name: str) -> str | dict[str, str]:
    """The address of a licence whose SPDX identifier is known, else its name."""
    if name.startswith(("https://", "http://")):
        return name
    if _SPDX.fullmatch(name):
        return f"https://spdx.org/licenses/{name}.html"
    return {"@type": "sc:CreativeWork", "name": name}


def _file_object(file: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file["path"],
        "name": file["path"],
        "contentUrl": file["path"],
        "contentSize": f"{file['bytes']} B",
        "encodingFormat": _ENCODING,
        "sha256": file["sha256"],
    }


def _record_set(file: str, kind: str) -> dict[str, Any]:
    name = f"{file.removesuffix('.jsonl')}/records"
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "key": {"@id": f"{name}/id"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{path}",
                "name": path,
                "description": description,
                "dataType": "sc:Text",
                "source": {"fileObject": {"@id": file}, "extract": {"jsonPath": f"$.{path}"}},
            }
            for path, description in _FIELDS[kind]
        ],
    }


def _responsible_use(statement: Mapping[str, Any]) -> dict[str, str]:
    said = {}
    if statement.get("sources"):
        kept = sum(source["pages"]["kept"] for source in statement["sources"])
        said["rai:dataCollection"] = (
            f"{kept} pages of {len(statement['sources'])} sources of the registry; only reviewed sources are fetched, "
            "robots.txt and terms are obeyed, every decision stands in a sealed ledger."
        )
    if statement.get("cleaning"):
        redactions = statement["cleaning"].get("redactions", {})
        found = ", ".join(f"{kind} {count}" for kind, count in redactions.items()) or "none found"
        said["rai:personalSensitiveInformation"] = f"Searched for and removed: {found}."
    if statement["nsfw"]["used"]:
        said["rai:dataUseCases"] = PURPOSE_EN
    return said
