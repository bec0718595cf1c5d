"""Whose pages are asked for: those of sources whose terms were accepted in this run, whatever leads to an address."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.collect_running import run, write_registry
from e2e.collect_site import TERMS, Answer, Site, page, redirect, registry
from so8t.data.collect.decisions import Decision
from so8t.data.collect.ledger import read_ledger

REFUSED = {"unreviewed": "not_reviewed", "changed": "terms_changed", "missing": "terms_unreadable"}
"""Sources whose terms were not accepted, and why."""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as running:
        running.answers["terms.test", "/terms"] = Answer(TERMS)
        yield running


def refused_sources(site: Site) -> list[dict[str, Any]]:
    for name in REFUSED:
        for path in ("/", "/linked", "/listed", "/redirected"):
            site.answers[f"{name}.test", path] = Answer(page(f"{name} {path}"))
    return [
        {"host": "unreviewed.test", "reviewed_by": None, "reviewed_at": None},
        {"host": "changed.test", "terms_sha256": "0" * 64},
        {"host": "missing.test", "terms_url": site.url("terms.test", "/none")},
    ]


def leading_source(site: Site) -> dict[str, Any]:
    """A source with accepted terms that leads to the others by link, redirect and sitemap."""
    listed = "".join(f"<url><loc>{site.url(f'{name}.test', '/listed')}</loc></url>" for name in REFUSED)
    site.answers["leads.test", "/map.xml"] = Answer(f"<urlset>{listed}</urlset>".encode(), kind="text/xml")
    links = [site.url(f"{name}.test", "/linked") for name in REFUSED]
    site.answers["leads.test", "/"] = Answer(page("leads", *links, *(f"/to-{name}" for name in REFUSED)))
    for name in REFUSED:
        site.answers["leads.test", f"/to-{name}"] = redirect(site.url(f"{name}.test", "/redirected"))
    return {"host": "leads.test", "sitemaps": [site.url("leads.test", "/map.xml")]}


def decided(folder: Path) -> dict[str, Decision]:
    return {decision.url: decision for decision in read_ledger(folder).decisions.values()}


@pytest.mark.parametrize("tier", [1, 2, 3])
def test_nothing_leads_to_a_source_without_accepted_terms(tier: int, site: Site, tmp_path: Path) -> None:
    others = [{**source, "tier": tier} for source in refused_sources(site)]
    sources = write_registry(tmp_path, registry(site, [{**leading_source(site), "tier": 2}, *others]))
    assert run(sources, tmp_path / "out").code == 0
    decisions = decided(tmp_path / "out")
    for name, reason in REFUSED.items():
        assert site.paths(f"{name}.test") == [], "not even its robots.txt is anybody's business"
        assert decisions[site.url("leads.test", f"/to-{name}")].outcome == "redirected"
        for path in ("/", "/linked", "/listed", "/redirected"):
            decision = decisions[site.url(f"{name}.test", path)]
            assert (decision.source, decision.outcome, decision.reason) == (name, "refused_by_terms", reason)
            assert decision.terms_sha256 is None


def test_a_link_into_a_source_waits_until_its_terms_are_accepted(site: Site, tmp_path: Path) -> None:
    site.answers["a.test", "/"] = Answer(page("a", site.url("late.test", "/linked")))
    site.answers["late.test", "/"] = Answer(page("late"))
    site.answers["late.test", "/linked"] = Answer(page("linked"))
    site.answers["terms.test", "/late"] = redirect("/later")
    site.answers["terms.test", "/later"] = Answer(page("Terms", text="Yes."), wait=1.0)
    late = {"host": "late.test", "tier": 3, "terms_url": site.url("terms.test", "/late")}
    assert run(write_registry(tmp_path, registry(site, [{"host": "a.test"}, late])), tmp_path / "out").code == 0
    asked = [(one.host, one.path) for one in site.asked]
    assert asked.index(("terms.test", "/later")) < asked.index(("late.test", "/robots.txt"))
    linked = decided(tmp_path / "out")[site.url("late.test", "/linked")]
    assert (linked.outcome, linked.terms_sha256 is not None) == ("kept", True)


def test_a_source_that_loses_its_review_is_not_asked_again_for_what_failed(site: Site, tmp_path: Path) -> None:
    site.answers["a.test", "/"] = Answer(page("a", site.url("b.test", "/x")))
    site.answers["b.test", "/"] = Answer(page("b"))
    site.answers["b.test", "/x"] = Answer(status=500)
    sources = write_registry(tmp_path, registry(site, [{"host": "a.test"}, {"host": "b.test"}]))
    assert run(sources, tmp_path / "out").code == 0
    asked = len(site.paths("b.test"))
    sources = write_registry(tmp_path, registry(site, [{"host": "a.test"}, {"host": "b.test", "reviewed_by": None}]))
    assert run(sources, tmp_path / "out").code == 0
    assert len(site.paths("b.test")) == asked
    decisions = decided(tmp_path / "out")
    assert decisions[site.url("b.test", "/x")].reason == "not_reviewed"
    assert decisions[site.url("b.test")].outcome == "kept", "it was kept under terms that were accepted then"


def test_terms_that_were_refused_are_not_stated_as_those_of_the_pages(site: Site, tmp_path: Path) -> None:
    site.answers["a.test", "/"] = Answer(page("a"))
    site.answers["changed.test", "/"] = Answer(page("changed"))
    first, then = ({"host": "a.test"}, {"host": "changed.test", "terms_sha256": "0" * 64}), {"terms_sha256": "0" * 64}
    run(write_registry(tmp_path, registry(site, first)), tmp_path / "out")
    stated = {one["id"]: one for one in json.loads((tmp_path / "out/data_statement.json").read_bytes())["sources"]}
    accepted = decided(tmp_path / "out")[site.url("a.test")].terms_sha256
    assert (stated["a"]["terms_sha256"], stated["changed"]["terms_sha256"]) == (accepted, None)
    run(write_registry(tmp_path, registry(site, [{**first[0], **then}])), tmp_path / "out")
    (again,) = [
        one for one in json.loads((tmp_path / "out/data_statement.json").read_bytes())["sources"] if one["id"] == "a"
    ]
    assert again["terms_sha256"] == accepted, "the page was kept under these"


def test_a_packed_sitemap_and_escaped_allowed_paths_lead_to_their_pages(site: Site, tmp_path: Path) -> None:
    listed = f"<urlset><url><loc>{site.url('jp.test', '/%E6%B3%95/2')}</loc></url></urlset>".encode()
    site.answers["jp.test", "/map.xml.gz"] = Answer(gzip.compress(listed), kind="application/gzip")
    site.answers["jp.test", "/%E6%B3%95/"] = Answer(page("laws", "1"))
    site.answers["jp.test", "/%E6%B3%95/1"] = Answer(page("one"))
    site.answers["jp.test", "/%E6%B3%95/2"] = Answer(page("two"))
    start = {"host": "jp.test", "start": "/%E6%B3%95/", "sitemaps": [site.url("jp.test", "/map.xml.gz")]}
    for number, allowed in enumerate(("/%E6%B3%95/", "/法/")):
        sources = write_registry(tmp_path, registry(site, [{**start, "allowed_paths": [allowed]}]))
        assert run(sources, tmp_path / f"out{number}").code == 0
        kept = [url for url, decision in decided(tmp_path / f"out{number}").items() if decision.outcome == "kept"]
        assert sorted(kept) == [site.url("jp.test", f"/%E6%B3%95/{name}") for name in ("", "1", "2")]
