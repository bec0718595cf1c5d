"""The ledger: what is written is read back, what was torn is set aside, what was changed is refused."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from kiseki.errors import JournalDamaged, RunFolderError
from kiseki.record.clock import SystemClock
from so8t.data.collect.decisions import MAY_PASS, OUTCOME_OF, Decision, Outcome, Reason, RobotsEvidence
from so8t.data.collect.ledger import DECISION, STOP, TERMS, CannotWrite, Ledger, Stop, is_final, read_ledger
from so8t.data.collect.scope import same_page
from so8t.data.collect.statement import collection_statement, write_statement
from support import ToldClock

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WHEN = "2026-11-24T00:00:00.000000Z"


def opened(folder: Path, clock: ToldClock | None = None, sources: tuple[str, ...] = ("a", "b")) -> Ledger:
    listed = [
        {"id": name, "tier": 1, "licence": "CC0-1.0", "terms_url": "https://a.example/terms", "purpose": "test"}
        for name in sources
    ]
    return Ledger(folder, clock or ToldClock(), {"sources": listed})


def decision(url: str, reason: Reason = Reason.KEPT, **more: object) -> Decision:
    fields = {"timestamp": WHEN, "url": url, "reason": reason, "outcome": OUTCOME_OF[reason], "source": "a", **more}
    return Decision(**fields)  # type: ignore[arg-type]


DECISIONS = st.builds(
    decision,
    st.integers(0, 20).map(lambda number: f"https://a.example/{number}"),
    st.sampled_from(Reason),
    detail=st.none() | TEXT,
    status=st.none() | st.integers(100, 599),
    bytes=st.none() | st.integers(0, 2**40),
    robots=st.none() | st.builds(RobotsEvidence, TEXT, st.none() | st.integers(100, 599), rule=st.none() | TEXT),
    found=st.dictionaries(TEXT, st.integers(0, 9), max_size=3),
)


def test_every_reason_has_one_outcome() -> None:
    assert set(OUTCOME_OF) == set(Reason)
    assert set(OUTCOME_OF.values()) == set(Outcome)
    assert OUTCOME_OF[Reason.KEPT] is Outcome.KEPT
    assert Reason.KEPT not in MAY_PASS


@given(runs=st.lists(st.lists(DECISIONS, max_size=6), max_size=3))
@examples(max_examples=30)
def test_what_is_written_in_several_runs_is_read_back(
    runs: list[list[Decision]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    for decisions in runs:
        ledger = opened(folder)
        for one in decisions:
            ledger.write(DECISION, one)
        ledger.close({"ended": "finished"})
    if runs:
        content = read_ledger(folder)
        assert content.damage == ()
        expected = {same_page(one.url): one for decisions in runs for one in decisions}
        assert content.decisions == expected
        assert content.bytes == (folder / "ledger.jsonl").stat().st_size


def test_stops_and_terms_are_read_back(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    stop = Stop(WHEN, "a.example", Reason.CAPTCHA, "https://a.example/")
    ledger.write(STOP, stop)
    ledger.write(TERMS, {"source": "a", "sha256": "0"})
    ledger.close({})
    content = read_ledger(tmp_path)
    assert content.stops == {"a.example": stop}
    assert content.terms["a"]["sha256"] == "0"


def test_a_seal_comes_once_a_second_and_at_the_end(tmp_path: Path) -> None:
    clock = ToldClock()
    ledger = opened(tmp_path, clock)
    for number in range(6):
        ledger.write(DECISION, decision(f"https://a.example/{number}"))
        clock.pass_seconds(0.5)
    ledger.close({})
    kinds = [next(iter(json.loads(line))) for line in (tmp_path / "ledger.jsonl").read_text("utf-8").splitlines()]
    assert "".join(kind[0] for kind in kinds) == "odddsddsdcs"


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_is_set_aside_and_noted(cut: int, tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.write(DECISION, decision("https://a.example/1"))
    ledger.close({})
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    again = opened(tmp_path)
    assert list(again.earlier.decisions) == ["https://a.example/1"]
    again.close({})
    assert read_ledger(tmp_path).damage == ()
    assert '"kind":"repair"' in path.read_text("utf-8")
    assert (tmp_path / "ledger.broken-1").exists()


def test_a_changed_byte_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.write(DECISION, decision("https://a.example/1", Reason.ROBOTS_RULE))
    ledger.close({})
    path = tmp_path / "ledger.jsonl"
    changed = path.read_bytes().replace(b"robots_rule", b"robots_rulf")
    path.write_bytes(changed)
    with pytest.raises(JournalDamaged, match="line 2"):
        opened(tmp_path)
    assert path.read_bytes() == changed
    assert not (tmp_path / "ledger.broken-1").exists()


def test_two_processes_cannot_write_one_ledger(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    with pytest.raises(RunFolderError, match="another process"):
        opened(tmp_path)
    ledger.close({})
    opened(tmp_path).close({})


def test_a_ledger_that_is_closed_says_so(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.close({})
    with pytest.raises(CannotWrite, match="is intact"):
        ledger.write(DECISION, decision("https://a.example/1"))


@pytest.mark.parametrize(
    ("reason", "detail", "final"),
    [
        (Reason.KEPT, None, True),
        (Reason.ROBOTS_RULE, None, True),
        (Reason.ACCESS_DENIED, None, True),
        (Reason.HOST_STOPPED, "captcha", True),
        (Reason.HOST_STOPPED, "unresponsive", False),
        (Reason.TIMEOUT, None, False),
        (Reason.ROBOTS_UNREACHABLE, None, False),
        (Reason.TERMS_CHANGED, None, False),
    ],
)
def test_what_may_pass_is_looked_at_again(reason: Reason, detail: str | None, final: bool) -> None:
    assert is_final(decision("https://a.example/", reason, detail=detail)) is final


def test_the_statement_counts_each_page_once_by_its_last_decision(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, SystemClock(), {"sources": []})
    ledger.close({})
    ledger = opened(tmp_path)
    for url, reason, status in [
        ("/1", Reason.TIMEOUT, None),
        ("/1", Reason.KEPT, 200),
        ("/2", Reason.ROBOTS_RULE, None),
        ("/3", Reason.NOAI, 200),
        ("/4", Reason.REDIRECTED, 301),
        ("/5", Reason.SOFT_404, 200),
        ("/6", Reason.HOST_STOPPED, None),
    ]:
        more = {"file": "pages/x", "sha256": "ab" * 32} if reason is Reason.KEPT else {}
        ledger.write(DECISION, decision("https://a.example" + url, reason, status=status, **more))
    ledger.close({})
    statement = write_statement(tmp_path, WHEN)
    pages = {source["id"]: source["pages"] for source in statement["sources"]}
    assert pages["a"] == {
        "fetched": 3, "kept": 1, "dropped": 1, "refused_by_robots": 1, "refused_by_terms": 1, "refused_by_scope": 0,
        "stopped": 1, "failed": 0,
    }  # fmt: skip
    assert set(pages["b"].values()) == {0}
    assert json.loads((tmp_path / "data_statement.json").read_bytes()) == statement
    (listed,) = map(json.loads, (tmp_path / "pages.jsonl").read_text("utf-8").splitlines())
    assert (listed["url"], listed["file"]) == ("https://a.example/1", "pages/x")


def test_a_statement_made_again_says_the_same(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.write(DECISION, decision("https://a.example/1"))
    ledger.close({})
    assert write_statement(tmp_path, WHEN) == collection_statement(read_ledger(tmp_path), WHEN)


def test_a_source_that_left_the_registry_is_stated_with_the_pages_that_it_left(tmp_path: Path) -> None:
    ledger = opened(tmp_path, sources=("b", "a"))
    ledger.write(DECISION, decision("https://b.example/1", source="b", file="pages/x", sha256="ab" * 32))
    ledger.close({})
    opened(tmp_path, sources=("c", "a")).close({})
    statement = write_statement(tmp_path, WHEN)
    (listed,) = map(json.loads, (tmp_path / "pages.jsonl").read_text("utf-8").splitlines())
    assert [source["id"] for source in statement["sources"]] == ["c", "a", "b"]
    assert [source["pages"]["kept"] for source in statement["sources"] if source["id"] == listed["source_id"]] == [1]
