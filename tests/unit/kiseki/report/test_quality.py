"""Nothing that is wrong with a record is tidied away."""

from array import array
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kiseki.report.quality import find_gaps, usual_interval

Report = Callable[..., dict[str, Any]]


@given(st.integers(1, 50), st.integers(3, 40), st.data())
def test_every_row_that_is_taken_out_is_found_missing(interval: int, count: int, data: st.DataObject) -> None:
    whole = [interval * index for index in range(1, count + 1)]
    # the last row cannot be missed, and most neighbours must stay for the interval to be known
    gone = data.draw(st.sets(st.sampled_from(whole[:-1]), max_size=max(0, (count - 3) // 4)))
    steps = array("q", [step for step in whole if step not in gone])
    gaps = find_gaps(steps, usual_interval(steps))
    assert sum(gap.missing_rows for gap in gaps) == len(gone)
    assert all(any(gap.after_step < step < gap.before_step for gap in gaps) for step in gone)


def test_a_shorter_last_interval_is_no_gap() -> None:
    steps = array("q", [10, 20, 30, 34])
    assert find_gaps(steps, usual_interval(steps)) == []


def test_a_record_too_short_to_know_its_interval_claims_no_gap() -> None:
    assert usual_interval(array("q", [10, 500])) is None
    assert find_gaps(array("q", [10, 500]), None) == []


def test_a_perfect_record_is_complete_and_all_its_counts_are_zero(run: Any, report_of: Report) -> None:
    run.opened(max_steps=30).row(10).row(20).row(30).seal()
    quality = report_of(run.closed())["record_quality"]
    assert quality["complete"] is True
    counts = ("missing_rows", "gap_count", "repeated", "out_of_order", "superseded", "dropped_rows", "recorder_errors")
    assert {quality[name] for name in (*counts, "torn_tail_bytes", "refused_count", "non_finite_step_count")} == {0}
    assert (quality["recorded_rows"], quality["expected_rows"], quality["interval_steps"]) == (3, 3, 10)


def test_gaps_are_counted_and_the_first_are_named(run: Any, report_of: Report) -> None:
    run.opened()
    for step in (10, 20, 30, 60, 70):
        run.row(step)
    quality = report_of(run.closed())["record_quality"]
    assert quality["gaps"] == [{"after_step": 30, "before_step": 60, "missing_rows": 2}]
    assert (quality["expected_rows"], quality["recorded_rows"], quality["complete"]) == (7, 5, False)


def test_what_a_resumed_attempt_replaces_is_counted_for_the_attempt_that_lost_it(run: Any, report_of: Report) -> None:
    run.opened().row(10).row(20).row(30).evaluation(30, eval_loss=1)
    run.opened(resume_step=10).row(20, loss=9.0).row(20, loss=8.0)
    report = report_of(run)
    assert [row["loss"] for row in report["metrics"]["history"]] == [2.0, 8.0]
    assert [attempt["superseded_rows"] for attempt in report["attempts"]] == [2, 0]
    assert [attempt["status"] for attempt in report["attempts"]] == ["interrupted", "interrupted"]
    quality = report["record_quality"]
    assert (quality["superseded"], quality["superseded_evaluations"], quality["repeated"]) == (2, 1, 1)
    assert report["attempts"][1]["resume_step"] == 10


def test_steps_that_go_back_are_counted(run: Any, report_of: Report) -> None:
    quality = report_of(run.opened().row(20).row(10).row(30).closed())["record_quality"]
    assert quality["out_of_order"] == 1


def test_dropped_rows_of_all_attempts_are_added_and_the_last_ones_own_count_wins(run: Any, report_of: Report) -> None:
    run.opened().row(10).note("write_failure", dropped=3, delayed=1, first_step=11, last_step=13, error="ENOSPC")
    run.opened(resume_step=10).row(20).note("write_failure", dropped=1, error="ENOSPC")
    quality = report_of(run.closed(dropped_rows=2, recorder_errors=4))["record_quality"]
    assert (quality["dropped_rows"], quality["recorder_errors"], quality["recorder_errors_exact"]) == (5, 4, True)
    assert quality["complete"] is False


def test_r25_errors_are_counted_also_when_the_run_was_killed(run: Any, report_of: Report) -> None:
    run.opened().note("companion_failure", error="it died").note("refused_value", step=1, name="x", why="no number")
    quality = report_of(run.row(10))["record_quality"]
    assert (quality["recorder_errors"], quality["recorder_errors_exact"]) == (2, False)
    assert quality["companion_failures"] == ["it died"]
    assert quality["refused"] == [{"name": "x", "step": 1, "why": "no number"}]


def test_notes_are_told_or_at_least_counted(run: Any, report_of: Report) -> None:
    run.opened().note("warning", text="slow disk").note("repair", bytes=7, kept_as="metrics/journal.broken-1")
    run.note("phase", name="transition", step=24).note("non_finite", step=5, metrics=["loss"]).note("clock_jump")
    report = report_of(run.note("something_new", x=1).note("clock_jump").row(10))
    quality = report["record_quality"]
    assert quality["warnings"] == ["slow disk"]
    assert quality["repairs"] == [{"attempt": 1, "bytes": 7, "kept_as": "metrics/journal.broken-1"}]
    assert (quality["non_finite_steps"], quality["non_finite_step_count"]) == ([5], 1)
    assert quality["other_notes"] == {"clock_jump": 2, "something_new": 1}
    assert [(phase["name"], phase["step"]) for phase in report["phases"]] == [("transition", 24)]


def test_a_flipped_bit_is_named_by_line(run: Any, report_of: Report) -> None:
    run.opened().row(10).row(20).row(30).closed()
    content = bytearray(run.folder.journal.read_bytes())
    content[content.index(b'"step":20') + 8] ^= 1
    run.folder.journal.write_bytes(content)
    quality = report_of(run)["record_quality"]
    assert quality["damage"][0]["line"] == 3
    assert quality["complete"] is False
