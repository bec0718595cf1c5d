"""Several logs of one run are put in order without mixing two histories."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kiseki.importers.branches import Branch, Branching, arrange, parting_step, shared_records


def log(*losses: float) -> list[dict[str, Any]]:
    return [{"step": step, "loss": loss} for step, loss in enumerate(losses, 1)]


def test_the_newest_checkpoint_holds_the_older_ones() -> None:
    assert arrange([log(3, 2, 1), log(3, 2), log(3)], [3, 2, 1]) == Branching(0, (), ())


def test_a_log_that_parts_is_a_branch_and_its_own_beginnings_are_not() -> None:
    arranged = arrange([log(5, 4, 3, 2, 1), log(5, 4, 9, 8), log(5, 4, 9), log(5, 7)], [5, 4, 3, 2])
    assert arranged == Branching(0, (Branch(3, 1), Branch(1, 2)), ())


def test_a_log_with_another_beginning_is_of_another_run() -> None:
    assert arrange([log(5, 4, 3), log(6, 4)], [3, 2]).strangers == (1,)


def test_of_logs_that_reached_the_same_step_the_longer_counts() -> None:
    final = [*log(3, 2), {"step": 2, "train_loss": 2.5}]
    assert arrange([log(3, 2), final], [2, 2]).main == 1
    assert arrange([final, log(3, 2)], [2, 2]).main == 0


def test_two_logs_part_before_the_first_step_on_which_they_differ() -> None:
    assert parting_step([10, 20, 20], [30, 40]) == 20
    assert parting_step([10, 20], [20, 30]) == 10
    assert parting_step([10], [10]) == 0
    assert parting_step([10, 20], []) == 20


@given(st.lists(st.floats()), st.lists(st.floats()), st.lists(st.floats()))
def test_what_was_put_before_both_is_shared(before: list[float], one: list[float], other: list[float]) -> None:
    shared = shared_records(log(*before, *one), log(*before, *other))
    assert shared >= len(before)
    assert repr(log(*before, *one)[:shared]) == repr(log(*before, *other)[:shared])
