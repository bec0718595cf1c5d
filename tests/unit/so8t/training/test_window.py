"""The sums over the recording window."""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from so8t.errors import CheckpointError
from so8t.training.row import rank_columns
from so8t.training.window import RankShare, RecordingWindow, WindowTotals, read_window, write_window

CPU = torch.device("cpu")
numbers = st.floats(width=64)
counts = st.integers(min_value=0, max_value=2**31)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def add(window: RecordingWindow, cross_entropy: float, tokens: int, pet: float = 0.0) -> None:
    window.add(cross_entropy=torch.tensor(cross_entropy), tokens=torch.tensor(tokens), pet_loss=torch.tensor(pet))


@given(st.lists(st.lists(st.tuples(st.floats(0, 1e4, width=32), st.integers(0, 9999)), min_size=1), min_size=1))
def test_sums_are_exact_over_micro_batches_and_steps(steps: list[list[tuple[float, int]]]) -> None:
    window = RecordingWindow(CPU, Clock())
    for number, step in enumerate(steps, start=1):
        for cross_entropy, tokens in step:
            add(window, cross_entropy, tokens)
        window.close_step(number)
    totals = window.read().totals
    assert totals.steps == len(steps)
    assert totals.tokens == sum(tokens for step in steps for _, tokens in step)
    assert totals.cross_entropy == pytest.approx(math.fsum(c for step in steps for c, _ in step), rel=1e-12)
    assert totals.non_finite_steps == 0


def test_a_long_window_of_float32_values_does_not_lose_precision() -> None:
    window = RecordingWindow(CPU, Clock())
    for step in range(1, 2001):
        add(window, 0.1, 1)
        window.close_step(step)
    totals = window.read().totals
    assert totals.cross_entropy == pytest.approx(2000 * float(torch.tensor(0.1)), rel=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("term", ["cross_entropy", "pet_loss", "so8t_loss"])
def test_a_step_with_any_term_not_finite_is_counted_and_the_first_is_named(bad: float, term: str) -> None:
    window = RecordingWindow(CPU, Clock())
    for step in range(5, 9):
        window.add(**{term: torch.tensor(bad if step in (6, 8) else 1.0)})
        window.close_step(step)
    totals = window.read().totals
    assert (totals.non_finite_steps, totals.first_non_finite_step) == (2, 6)
    window.reset()
    add(window, 1.0, 1)
    window.close_step(9)
    totals = window.read().totals
    assert (totals.non_finite_steps, totals.first_non_finite_step, totals.cross_entropy) == (0, 0, 1.0)


def test_a_step_that_is_still_open_is_not_part_of_the_window() -> None:
    window = RecordingWindow(CPU, Clock())
    add(window, 2.0, 1)
    window.close_step(1)
    add(window, math.nan, 7)
    totals = window.read().totals
    assert (totals.cross_entropy, totals.tokens, totals.non_finite_steps) == (2.0, 1.0, 0)


def test_values_are_taken_at_the_call_and_not_referenced() -> None:
    window = RecordingWindow(CPU, Clock())
    loss = torch.tensor(2.0)
    window.add(cross_entropy=loss)
    loss.zero_()
    window.close_step(1)
    assert window.read().totals.cross_entropy == 2.0


def test_time_of_evaluations_and_checkpoints_is_left_out_and_time_before_a_restart_counted() -> None:
    clock = Clock()
    window = RecordingWindow(CPU, clock)
    clock.now += 2
    with window.paused():
        clock.now += 50
    clock.now += 1
    totals = window.read().totals
    assert totals.seconds == pytest.approx(3.0)
    later = RecordingWindow(CPU, clock)
    later.restore(totals)
    clock.now += 4
    assert later.read().totals.seconds == pytest.approx(7.0)
    later.reset()
    assert later.read().totals.seconds == 0.0


def test_one_more_value_comes_along_in_the_same_copy() -> None:
    window = RecordingWindow(CPU, Clock())
    add(window, 1.0, 1)
    window.close_step(1)
    assert window.read(torch.tensor(0.5, dtype=torch.bfloat16)).also == 0.5


def test_ranks_add_up_where_they_count_and_average_where_each_computes_a_mean() -> None:
    """Two ranks with different data; a NaN on the second one is the window's."""
    ranks = [RecordingWindow(CPU, Clock()) for _ in range(2)]
    for window, (cross_entropy, tokens, pet) in zip(ranks, [(8.0, 4, 0.25), (math.nan, 2, 0.75)], strict=True):
        add(window, cross_entropy, tokens, pet)
        window.close_step(3)
    packed: list[Tensor] = []

    def gather(own: Tensor) -> Tensor:
        packed.append(own)
        return torch.stack([own, packed[0]]) if len(packed) > 1 else own[None]

    ranks[1].read(ranks=2, gather=gather)
    totals = ranks[0].read(ranks=2, gather=gather).totals
    assert (totals.tokens, totals.pet_loss, totals.steps) == (6.0, 0.5, 1)
    assert math.isnan(totals.cross_entropy)
    assert (totals.non_finite_steps, totals.first_non_finite_step) == (1, 3)

    restored = [RecordingWindow(CPU, Clock()) for _ in range(2)]
    for rank, window in enumerate(restored):
        window.restore(totals, ranks=2, first_rank=rank == 0)
    packed.clear()
    restored[1].read(ranks=2, gather=gather)
    again = restored[0].read(ranks=2, gather=gather).totals
    assert (again.tokens, again.pet_loss, again.steps) == (6.0, 0.5, 1)
    assert (again.non_finite_steps, again.first_non_finite_step) == (1, 3)


def test_each_rank_brings_its_own_share_and_none_of_what_a_checkpoint_held() -> None:
    """The second rank took twice as long over half the tokens."""
    clocks = [Clock(), Clock()]
    ranks = [RecordingWindow(CPU, clock) for clock in clocks]
    packed: list[Tensor] = []

    def gather(own: Tensor) -> Tensor:
        packed.append(own)
        return torch.stack([own, packed[0]]) if len(packed) > 1 else own[None]

    def shares() -> tuple[RankShare, ...]:
        packed.clear()
        ranks[1].read(peak_memory_bytes=3_000_000_001, ranks=2, gather=gather)
        return ranks[0].read(peak_memory_bytes=5, ranks=2, gather=gather).ranks

    for window, clock, tokens, seconds in zip(ranks, clocks, (100, 50), (1.0, 2.0), strict=True):
        window.add(input_tokens=torch.tensor(tokens))
        window.close_step(1)
        clock.now += seconds
    assert shares() == (RankShare(100.0, 1.0, 5), RankShare(50.0, 2.0, 3_000_000_001))
    columns = rank_columns(shares())
    assert columns["rank1/tokens_per_second"] == 25.0
    assert columns["rank1/peak_memory_bytes"] == 3_000_000_001

    held = ranks[0].read(ranks=2, gather=lambda own: torch.stack([own, own])).totals
    for rank, window in enumerate(ranks):
        window.restore(held, ranks=2, first_rank=rank == 0)
    assert [share.input_tokens for share in shares()] == [None, None]
    assert rank_columns(shares()).keys() == {"rank0/peak_memory_bytes", "rank1/peak_memory_bytes"}
    for window in ranks:
        window.reset()
    assert [share.input_tokens for share in shares()] == [0.0, 0.0]


def test_opposite_infinities_on_two_ranks_are_not_a_number() -> None:
    window = RecordingWindow(CPU, Clock())
    add(window, math.inf, 1)
    window.close_step(1)
    totals = window.read(ranks=2, gather=lambda own: torch.stack([own, -own])).totals
    assert math.isnan(totals.cross_entropy)


@given(
    window=st.builds(
        WindowTotals,
        steps=counts,
        seconds=st.floats(0, 1e9),
        cross_entropy=numbers,
        tokens=st.floats(0, 2**53),
        correct=st.floats(0, 2**53),
        input_tokens=st.floats(0, 2**53),
        pet_penalty=numbers,
        pet_loss=numbers,
        so8t_loss=numbers,
        non_finite_steps=counts,
        first_non_finite_step=counts,
    ),
    tokens_seen=st.none() | st.integers(0, 2**53),
)
def test_a_window_reads_back_as_it_was_written_and_the_file_is_strict_json(
    tmp_path_factory: pytest.TempPathFactory, window: WindowTotals, tokens_seen: int | None
) -> None:
    path = tmp_path_factory.getbasetemp() / "window.json"
    write_window(path, window, tokens_seen)

    def refuse(constant: str) -> None:
        raise AssertionError(f"bare {constant} in the file")

    json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    again, again_seen = read_window(path)
    assert repr(again) == repr(window)  # NaN is equal to NaN here
    assert again_seen == tokens_seen
    live = RecordingWindow(CPU, Clock())
    live.restore(again)
    assert live.read().totals.cross_entropy == pytest.approx(window.cross_entropy, rel=0, abs=0, nan_ok=True)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"tokens_seen": 1, "window": {"steps": 1}}', '{"window": 3}'])
def test_a_damaged_window_file_is_named_with_what_to_do(tmp_path: Path, content: str) -> None:
    path = tmp_path / "recording_window.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"recording_window\.json.*resume from an earlier checkpoint"):
        read_window(path)
