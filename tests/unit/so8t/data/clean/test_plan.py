import pytest
from hypothesis import given
from hypothesis import strategies as st

from so8t.data.clean import plan as plans
from so8t.data.clean.plan import make_plan, read_plan, settle
from so8t.data.clean.read import lines
from so8t.data.clean.settings import Settings
from so8t.errors import DataError


@given(
    st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"x")), max_size=30),
    st.integers(1, 40),
    st.booleans(),
)
def test_every_line_is_read_by_exactly_one_part(tmp_path_factory, content, size, ends):
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    path.write_bytes(b"\n".join(content) + (b"\n" if ends and content else b""))
    total = path.stat().st_size
    read = [
        line.rstrip(b"\n") for start in range(0, total, size) for line in lines(path, start, min(start + size, total))
    ]
    assert read == [line for line in content if line.strip()]


def test_a_large_file_becomes_several_tasks_and_loose_files_share_one(tmp_path, monkeypatch):
    monkeypatch.setattr(plans, "_RANGE_BYTES", 10)
    (tmp_path / "a.jsonl").write_bytes(b"x" * 25)
    for name in ("b.html", "c.txt", "d.htm"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "e.png").write_bytes(b"x")
    tasks = make_plan(tmp_path, Settings()).tasks
    assert [[(part.path, part.start, part.end) for part in task] for task in tasks] == [
        [("a.jsonl", 0, 10)],
        [("a.jsonl", 10, 20)],
        [("a.jsonl", 20, 25)],
        [("b.html", 0, None), ("c.txt", 0, None), ("d.htm", 0, None)],
    ]


def test_in_a_collection_only_the_listing_is_read(tmp_path):
    (tmp_path / "pages.jsonl").write_bytes(b"{}\n")
    (tmp_path / "ledger.jsonl").write_bytes(b"{}\n")
    assert [file.path for file in make_plan(tmp_path, Settings()).inputs] == ["pages.jsonl"]


def test_a_plan_is_read_as_it_was_kept(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"x")
    plan = make_plan(tmp_path, Settings(licence="MIT"))
    settle(plan, tmp_path / "work" / "plan.json")
    assert read_plan(tmp_path / "work" / "plan.json") == plan
    settle(plan, tmp_path / "work" / "plan.json")


def test_other_settings_and_other_input_are_refused(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.txt").write_bytes(b"x")
    settle(make_plan(source, Settings()), tmp_path / "out" / "work" / "plan.json")
    with pytest.raises(DataError, match="settings or the safety classifier changed"):
        settle(make_plan(source, Settings(safety_digest="other")), tmp_path / "out" / "work" / "plan.json")
    (source / "a.txt").write_bytes(b"xy")
    with pytest.raises(DataError, match="the input changed"):
        settle(make_plan(source, Settings()), tmp_path / "out" / "work" / "plan.json")


def test_what_is_not_there_or_holds_nothing_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere does not exist"):
        make_plan(tmp_path / "nowhere", Settings())
    with pytest.raises(DataError, match=r"holds nothing to clean: files that end in .htm, .html, .jsonl"):
        make_plan(tmp_path, Settings())
