"""The source registry: what it must say, and one line about what is wrong."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from so8t.data.collect.registry import RegistryError, load_registry, review_warnings

GOOD: dict[str, Any] = {
    "id": "laws",
    "base_urls": ["https://laws.example/law/"],
    "tier": 1,
    "terms_url": "https://laws.example/terms",
    "licence": "CC-BY-4.0",
    "purpose": "law texts",
    "allowed_paths": ["/law/"],
    "reviewed_by": "data steward",
    "reviewed_at": date(2026, 5, 1),
}


def write(folder: Path, content: Any) -> Path:
    path = folder / "sources.yaml"
    text = content if isinstance(content, str) else yaml.safe_dump(content, allow_unicode=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def with_source(**changes: Any) -> dict[str, Any]:
    source = {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}
    return {"contact": "https://example.org/crawler", "sources": [source]}


def test_a_registry_is_read_with_its_defaults(tmp_path: Path) -> None:
    source = load_registry(write(tmp_path, with_source())).sources[0]
    assert (source.reviewed, source.seconds_between_requests, source.max_pages) == (True, 2.0, 200)


def test_sources_are_asked_by_tier_and_then_by_the_newest_review(tmp_path: Path) -> None:
    def source(name: str, tier: int, reviewed: date | None) -> dict[str, Any]:
        return {**GOOD, "id": name, "tier": tier, "reviewed_at": reviewed}

    sources = [
        source("c", 2, date(2026, 1, 1)),
        source("b", 1, date(2025, 1, 1)),
        source("d", 2, None),
        source("a", 1, date(2026, 1, 1)),
    ]
    registry = load_registry(write(tmp_path, {"contact": "https://example.org", "sources": sources}))
    assert [one.id for one in registry.in_order()] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("missing", ["reviewed_by", "reviewed_at"])
def test_half_a_review_is_none(missing: str, tmp_path: Path) -> None:
    assert not load_registry(write(tmp_path, with_source(**{missing: ...}))).sources[0].reviewed


@pytest.mark.parametrize("missing", ["id", "base_urls", "tier", "terms_url", "licence", "purpose", "allowed_paths"])
def test_a_key_that_is_missing_is_named(missing: str, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=rf"sources\[0\]: .*{missing}"):
        load_registry(write(tmp_path, with_source(**{missing: ...})))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("contact:", "contacts:", "line 1: unknown key 'contacts' (did you mean contact?): a registry has contact and"),
        (
            "base_urls:",
            "base_url:",
            "line 4: sources[0]: unknown key 'base_url' (did you mean base_urls?): a source has",
        ),
        (
            "purpose:",
            "purposes: x\n    purpose:",
            "line 10: sources[0]: unknown key 'purposes' (did you mean purpose",
        ),
        (
            "purpose:",
            "robots: x\n    purpose:",
            "line 10: sources[0]: unknown key 'robots': a source has id, base_urls",
        ),
        (
            "    licence: CC-BY-4.0\n",
            "",
            "line 3: sources[0]: licence is missing: a source needs id, base_urls",
        ),
        ("tier: 1", "tier: one", "line 5: sources[0].tier: expected int, got str: correct the value"),
        ("tier: 1", "tier: 7", "line 3: source laws: tier is 7"),
        ("contact: https://example.org/crawler", "contact: me", "line 1: contact: 'me' is no web address"),
        ("    tier: 1\n", "    tier: 1\n    tier: 2\n", "line 6, column 5: key 'tier' stands twice"),
        ("sources:", "source: []\nsources:", "line 2: unknown key 'source' (did you mean sources?)"),
        (
            "allowed_paths: [/]",
            "allowed_paths: [/law/]",
            "line 4: source laws: base_urls: https://laws.example/ is not below allowed_paths, so it would never",
        ),
        (
            "base_urls: [https://laws.example/]",
            "base_urls:\n      - https://laws.example/\n      - https://laws.example/%6e\n"
            "    sitemaps:\n      - https://laws.example/map.xml\n      - https://maps.example/laws.xml",
            "line 9: source laws: sitemaps: https://maps.example/laws.xml is on none of the hosts of base_urls",
        ),
        (
            "    tier: 1\n",
            "    tier: 1\n    sitemaps: [http://laws.example/map.xml]\n",
            "line 6: source laws: sitemaps: http://laws.example/map.xml is on none of the hosts of base_urls",
        ),
    ],
)
def test_what_is_wrong_is_named_by_file_line_and_known_keys(old: str, new: str, said: str, tmp_path: Path) -> None:
    text = """contact: https://example.org/crawler
sources:
  - id: laws
    base_urls: [https://laws.example/]
    tier: 1
    terms_url: https://laws.example/terms
    licence: CC-BY-4.0
    reviewed_by: data steward
    reviewed_at: 2026-05-01
    purpose: law texts
    allowed_paths: [/]
"""
    path = write(tmp_path, text)
    load_registry(path)
    assert old in text
    with pytest.raises(RegistryError) as caught:
        load_registry(write(tmp_path, text.replace(old, new, 1)))
    assert str(caught.value).startswith(f"{path}, {said}")


def test_an_empty_registry_says_what_to_write(tmp_path: Path) -> None:
    for text in ("", "[]", "x"):
        with pytest.raises(RegistryError, match=r"sources\.yaml holds no keys: write contact and sources"):
            load_registry(write(tmp_path, text))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ignore_robots": True}, "ignore_robots"),
        ({"tier": 4}, "tier is 4"),
        ({"tier": "1"}, r"sources\[0\].tier"),
        ({"id": "a/b"}, "the id may have"),
        ({"base_urls": []}, "base_urls is empty"),
        ({"base_urls": ["file:///etc/passwd"]}, "no web address"),
        ({"base_urls": ["https://user:pw@a.example/"]}, "no web address"),
        ({"terms_url": "https://a.example:x/"}, "no web address"),
        ({"allowed_paths": []}, "allowed_paths is empty"),
        ({"allowed_paths": ["law/"]}, "does not begin with /"),
        ({"max_pages": 0}, "max_pages"),
        ({"max_depth": -1}, "max_depth"),
        ({"seconds_between_requests": -1.0}, "negative"),
        ({"purpose": " "}, "purpose is blank"),
        ({"licence": ""}, "licence is blank"),
        ({"terms_sha256": "abc"}, "64 hexadecimal digits"),
    ],
)
def test_a_value_that_cannot_be_is_named(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=said) as caught:
        load_registry(write(tmp_path, with_source(**changes)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("contact: [", "line 1"),
        ("contact: x\ncontact: y", "stands twice"),
        ("sources: []", "contact"),
        ("contact: https://a.example\nsources: []", "there are none"),
        ("contact: me\nsources: []", "no web address"),
        ("contact: https://a.example\nsources: [1]", r"sources\[0\]"),
        ("contact: https://a.example\nsources: []\nrobots: ignore", "robots"),
        ("\t- x", "line 1"),
        ("", "sources.yaml"),
        ("!!python/object/apply:os.system ['true']", "line 1"),
        ("!!timestamp x", "cannot be read as YAML"),
        ("[" * 1500, "sources.yaml"),
    ],
)
def test_what_is_no_registry_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=said) as caught:
        load_registry(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="2 times"):
        load_registry(write(tmp_path, {"contact": "https://a.example", "sources": [GOOD, GOOD]}))


def test_a_file_that_is_no_text_or_no_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "sjis.yaml").write_bytes("contact: 連絡先".encode("cp932"))
    for name in ("sjis.yaml", "none.yaml", ""):
        with pytest.raises(RegistryError, match=r"UTF-8|no source registry|cannot be read"):
            load_registry(tmp_path / name)


@pytest.mark.parametrize(("day", "warned"), [(date(2026, 5, 1), 0), (date(2027, 5, 1), 0), (date(2027, 5, 2), 1)])
def test_a_review_older_than_a_year_warns(day: date, warned: int, tmp_path: Path) -> None:
    assert len(review_warnings(load_registry(write(tmp_path, with_source())), day)) == warned


def test_a_review_that_is_to_come_warns(tmp_path: Path) -> None:
    assert "to come" in review_warnings(load_registry(write(tmp_path, with_source())), date(2025, 1, 1))[0]
