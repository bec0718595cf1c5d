"""`so8t collect` as a person uses it: interrupted, killed, out of disk, with wrong input; and going on after each."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.collect_running import command, run, start, write_registry
from e2e.collect_site import TERMS, Answer, Site, page, registry
from so8t.data.collect.ledger import read_ledger


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as running:
        running.answers["terms.test", "/terms"] = Answer(TERMS)
        yield running


def tree(site: Site, host: str, width: int = 4) -> list[str]:
    """A site of pages with links; returns their paths."""
    paths = [f"/{n}" for n in range(width)]
    site.answers[host, "/"] = Answer(page("root", *paths))
    for path in paths:
        below = [f"{path}/{n}" for n in range(width)]
        site.answers[host, path] = Answer(page(f"page {path}", *below))
        for leaf in below:
            site.answers[host, leaf] = Answer(page(f"leaf {leaf}"))
        paths = [*paths, *below]
    return ["/", *paths]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_collection_goes_on_where_it_stopped(site: Site, tmp_path: Path) -> None:
    paths = tree(site, "tree.test")
    sources = write_registry(tmp_path, registry(site, [{"host": "tree.test"}]))
    for _ in range(2):
        killed = run(sources, tmp_path / "out", "--kill-after", "6")
        assert killed.code == -signal.SIGKILL
    ended = run(sources, tmp_path / "out")
    content = read_ledger(tmp_path / "out")
    assert (ended.code, content.damage) == (0, ())
    assert {decision.url for decision in content.decisions.values()} == {site.url("tree.test", path) for path in paths}
    assert {decision.outcome for decision in content.decisions.values()} == {"kept"}
    assert set(Counter(site.pages("tree.test")).values()) <= {1, 2}
    assert sum(times == 2 for times in Counter(site.pages("tree.test")).values()) <= 6  # under way when it was killed
    again = len(site.pages("tree.test"))
    assert run(sources, tmp_path / "out").code == 0
    assert len(site.pages("tree.test")) == again


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_a_signal_ends_in_order_and_the_same_command_goes_on(site: Site, tmp_path: Path) -> None:
    paths = tree(site, "tree.test")
    sources = write_registry(tmp_path, registry(site, [{"host": "tree.test", "seconds_between_requests": 0.5}]))
    process = start(sources, tmp_path / "out")
    until = time.monotonic() + 60
    while len(site.pages("tree.test")) < 3 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert "the same command goes on" in out
    assert (
        json.loads((tmp_path / "out" / "ledger.jsonl").read_text("utf-8").splitlines()[-2])["close"]["ended"]
        == "shutdown"
    )
    stopped_at = len(read_ledger(tmp_path / "out").decisions)
    assert 0 < stopped_at < len(paths)
    sources = write_registry(tmp_path, registry(site, [{"host": "tree.test"}]))
    assert run(sources, tmp_path / "out").code == 0
    assert len(read_ledger(tmp_path / "out").decisions) == len(paths)


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_full_disk_is_one_clear_line_and_leaves_evidence_that_can_be_gone_on_with(site: Site, tmp_path: Path) -> None:
    paths = tree(site, "tree.test", 3)
    sources = write_registry(tmp_path, registry(site, [{"host": "tree.test"}]))
    full = run(sources, tmp_path / "out", "--file-bytes", "5000")
    assert full.code == 1
    assert len(full.err.splitlines()) == 1
    assert "ledger.jsonl cannot be written" in full.err
    assert "run the same command again" in full.err
    assert len(read_ledger(tmp_path / "out").decisions) <= len(site.pages("tree.test")) < len(paths)
    assert run(sources, tmp_path / "out").code == 0
    content = read_ledger(tmp_path / "out")
    assert content.damage == ()
    assert len(content.decisions) == len(paths)


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_page_that_cannot_be_stored_ends_the_collection_without_a_decision_on_it(site: Site, tmp_path: Path) -> None:
    site.answers["large.test", "/"] = Answer(page("large", text="長い文章。" * 2000))
    sources = write_registry(tmp_path, registry(site, [{"host": "large.test"}]))
    full = run(sources, tmp_path / "out", "--file-bytes", "9000")
    assert (full.code, len(full.err.splitlines())) == (1, 1)
    assert "pages cannot be written" in full.err
    assert read_ledger(tmp_path / "out").decisions == {}
    assert run(sources, tmp_path / "out").code == 0
    assert [decision.outcome for decision in read_ledger(tmp_path / "out").decisions.values()] == ["kept"]


def test_what_failed_is_asked_for_again_and_a_stopped_host_is_not(site: Site, tmp_path: Path) -> None:
    site.answers["flaky.test", "/"] = Answer(status=500)
    site.answers["wall.test", "/"] = Answer(status=403)
    sources = write_registry(tmp_path, registry(site, [{"host": "flaky.test"}, {"host": "wall.test"}]))
    assert run(sources, tmp_path / "out").code == 0
    site.answers["flaky.test", "/"] = site.answers["wall.test", "/"] = Answer(page("back again"))
    assert run(sources, tmp_path / "out").code == 0
    outcomes = {decision.url: decision.outcome.value for decision in read_ledger(tmp_path / "out").decisions.values()}
    assert outcomes == {site.url("flaky.test"): "kept", site.url("wall.test"): "stopped"}
    assert site.pages("wall.test") == ["/"]


def test_a_host_that_keeps_failing_is_left_alone_for_this_run(site: Site, tmp_path: Path) -> None:
    site.answers["bad.test", "/"] = Answer(page("bad", *(f"/{n}" for n in range(30))))
    for number in range(30):
        site.answers["bad.test", f"/{number}"] = Answer(status=502)
    sources = write_registry(tmp_path, registry(site, [{"host": "bad.test"}]))
    assert run(sources, tmp_path / "out").code == 0
    assert len(site.pages("bad.test")) == 1 + 5
    assert read_ledger(tmp_path / "out").stops["bad.test"].reason == "unresponsive"


# -- the command -----------------------------------------------------------------------------------------------------


def test_f4_the_command_connects_to_no_private_address_and_no_option_changes_that(site: Site, tmp_path: Path) -> None:
    content = registry(site, [{"host": "127.0.0.1", "terms_url": site.url("127.0.0.1", "/terms")}])
    content["sources"].append({**content["sources"][0], "id": "named", "terms_url": site.url("localhost", "/terms")})
    ended = command("--sources", write_registry(tmp_path, content), "--out", tmp_path / "out")
    assert ended.code == 0
    assert site.asked == []
    decisions = read_ledger(tmp_path / "out").decisions.values()
    assert {(decision.reason, decision.detail) for decision in decisions} == {("terms_unreadable", "private_address")}
    assert not re.search(r"--(?!sources|out|help)\w", command("--help").out)


def test_a_wrong_registry_is_one_line_that_says_what_and_where(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text("contact: https://a.example\nsources: []\nrobots: ignore\n", encoding="utf-8")
    ended = command("--sources", path, "--out", tmp_path / "out")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert str(path) in ended.err
    assert "robots" in ended.err
    assert not (tmp_path / "out").exists()


def test_no_registry_and_a_folder_that_is_a_file_are_one_line_each(site: Site, tmp_path: Path) -> None:
    missing = command("--sources", tmp_path / "none.yaml", "--out", tmp_path / "out")
    assert (missing.code, len(missing.err.splitlines())) == (2, 1)
    assert "no source registry" in missing.err
    (tmp_path / "file").write_text("x", encoding="utf-8")
    sources = write_registry(tmp_path, registry(site, [{"host": "a.test"}]))
    blocked = command("--sources", sources, "--out", tmp_path / "file")
    assert (blocked.code, len(blocked.err.splitlines())) == (2, 1)
    assert "--out" in blocked.err


def test_a_ledger_that_was_changed_is_refused(site: Site, tmp_path: Path) -> None:
    site.answers["a.test", "/"] = Answer(page("a"))
    sources = write_registry(tmp_path, registry(site, [{"host": "a.test"}]))
    assert run(sources, tmp_path / "out").code == 0
    ledger = tmp_path / "out" / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b'"tier":1', b'"tier":2', 1))
    ended = run(sources, tmp_path / "out")
    assert (ended.code, len(ended.err.splitlines())) == (1, 1)
    assert "nothing was changed" in ended.err


def test_an_old_review_is_warned_about(site: Site, tmp_path: Path) -> None:
    site.answers["a.test", "/"] = Answer(page("a"))
    sources = write_registry(tmp_path, registry(site, [{"host": "a.test", "reviewed_at": "2020-01-01"}]))
    ended = run(sources, tmp_path / "out")
    assert ended.code == 0
    assert "warning: a: the terms were reviewed on 2020-01-01" in ended.out


@pytest.mark.parametrize("change", ["edited", "missing"])
def test_a_kept_page_that_is_not_what_was_kept_is_one_line_and_nothing_is_asked(
    change: str, site: Site, tmp_path: Path
) -> None:
    site.answers["a.test", "/"] = Answer(page("a", "/1"))
    site.answers["a.test", "/1"] = site.answers["a.test", "/added"] = Answer(page("one"))
    sources = write_registry(tmp_path, registry(site, [{"host": "a.test"}]))
    assert run(sources, tmp_path / "out").code == 0
    asked = len(site.asked)
    (kept,) = [path for path in (tmp_path / "out" / "pages").rglob("*.html") if b'href="/1"' in path.read_bytes()]
    if change == "missing":
        kept.unlink()
    else:
        kept.write_bytes(kept.read_bytes() + b'<a href="/added">')
    ended = run(sources, tmp_path / "out")
    assert (ended.code, len(ended.err.splitlines())) == (1, 1)
    assert f"{kept.name}: not what was collected" in ended.err
    assert len(site.asked) == asked
