"""A phase counts until a later attempt goes back behind it, and ends where the next that counts begins."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kiseki.analysis.phases import MOST_PHASES, phases_that_count, takeovers
from kiseki.history import Attempt


def attempt(number: int, resume_step: int | None = None) -> Attempt:
    return Attempt(number, {}, "", None, resume_step, None, None, 0, 0, "completed")


def mark(step: Any, name: Any, attempt: int = 1) -> dict[str, Any]:
    return {"kind": "phase", "step": step, "name": name, "attempt": attempt}


def counted(marks: list[dict[str, Any]], *resumed: int | None) -> list[tuple[str, int, int | None]]:
    attempts = [attempt(1), *(attempt(number, step) for number, step in enumerate(resumed, 2))]
    return [(phase.name, phase.start, phase.end) for phase in phases_that_count(marks, attempts)]


def test_a_phase_ends_where_the_next_begins_and_the_last_has_no_end() -> None:
    assert counted([mark(30, "b"), mark(1, "a")]) == [("a", 1, 30), ("b", 30, None)]


def test_what_a_later_attempt_went_back_behind_is_superseded_and_what_it_resumed_from_is_not() -> None:
    marks = [mark(1, "a"), mark(20, "b"), mark(21, "lost"), mark(40, "c", attempt=2)]
    assert counted(marks, 20) == [("a", 1, 20), ("b", 20, 40), ("c", 40, None)]


def test_the_attempt_that_goes_back_furthest_decides_and_it_need_not_be_the_next() -> None:
    marks = [mark(1, "a"), mark(20, "lost"), mark(35, "lost, too", attempt=2), mark(35, "b", attempt=3)]
    assert counted(marks, 30, 10) == [("a", 1, 35), ("b", 35, None)]


def test_an_attempt_that_began_anew_supersedes_no_phase() -> None:
    assert counted([mark(1, "a"), mark(20, "b")], None) == [("a", 1, 20), ("b", 20, None)]


def test_the_latest_mark_at_a_step_counts_and_a_mark_that_changes_nothing_is_none() -> None:
    assert counted([mark(1, "a"), mark(5, "b"), mark(5, "a"), mark(9, "c")]) == [("a", 1, 9), ("c", 9, None)]


def test_a_mark_without_a_step_and_a_name_is_passed_over() -> None:
    assert counted([mark(None, "a"), mark(True, "a"), mark(1.0, "a"), mark(3, 7), {"attempt": 1}, mark(4, "b")]) == [
        ("b", 4, None)
    ]


def test_of_very_many_phases_the_first_are_told_and_the_last_of_them_still_ends() -> None:
    phases = counted([mark(step, str(step)) for step in range(MOST_PHASES + 1)])
    assert len(phases) == MOST_PHASES
    assert phases[-1] == (str(MOST_PHASES - 1), MOST_PHASES - 1, MOST_PHASES)


def test_takeovers_are_told_once_and_in_order() -> None:
    attempts = [attempt(1, 3), attempt(2, 9), attempt(3), attempt(4, 5), attempt(5, 9)]
    assert takeovers(attempts) == (5, 9)  # the first attempt took over from nothing in this run


@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from("abc"), st.integers(1, 3)), max_size=20),
    st.tuples(*[st.none() | st.integers(0, 20)] * 2),
)
def test_phases_follow_each_other_without_gap_overlap_or_repetition(
    marks: list[tuple[int, str, int]], resumed: tuple[int | None, ...]
) -> None:
    phases = counted([mark(*one) for one in sorted(marks, key=lambda one: one[2])], *resumed)
    assert [end for _, _, end in phases[:-1]] == [start for _, start, _ in phases[1:]]
    assert all(one[0] != following[0] and one[1] < following[1] for one, following in pairwise(phases))
    assert not phases or phases[-1][2] is None
