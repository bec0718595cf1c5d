"""Views follow every `save_interval` steps and never cost more than their share."""

from hypothesis import given
from hypothesis import strategies as st

from kiseki.companion.pace import BYTES_PER_SECOND, SHARE_OF_A_CORE, Pace

costs = st.lists(st.tuples(st.floats(0, 20), st.integers(0, 10**8)), min_size=1, max_size=30)


@given(costs)
def test_cpu_and_disk_stay_within_their_share_however_fast_training_is(costs: list[tuple[float, int]]) -> None:
    pace = Pace(interval_steps=1)
    now, step, spent, written = 0.0, 0, 0.0, 0
    for cpu_seconds, size in costs:
        step += 1
        while not pace.due(now, step):
            now += 0.25
            step += 1
        now += cpu_seconds
        pace.done(now, step, cpu_seconds, size)
        spent, written = spent + cpu_seconds, written + size
    while not pace.due(now, step + 1):
        now += 0.25
    assert spent <= SHARE_OF_A_CORE * now + 1e-6
    assert written <= BYTES_PER_SECOND * now + 1


def test_a_slow_run_is_shown_after_half_a_minute_although_the_interval_is_not_full() -> None:
    pace = Pace(interval_steps=10)
    pace.done(now=0.0, step=10, cpu_seconds=0.0, written_bytes=0)
    assert not pace.due(now=29.0, step=11)
    assert pace.due(now=30.0, step=11)


def test_nothing_is_rewritten_when_nothing_came() -> None:
    pace = Pace(interval_steps=1)
    pace.done(now=0.0, step=5, cpu_seconds=0.0, written_bytes=0)
    assert not pace.due(now=1e9, step=5)


def test_a_run_that_was_rewound_is_shown_again() -> None:
    pace = Pace(interval_steps=10)
    pace.done(now=0.0, step=100, cpu_seconds=0.0, written_bytes=0)
    assert pace.due(now=5.0, step=50)
