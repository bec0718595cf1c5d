"""What a row keeps of each kind of value (C1 in small), read back by a strict JSON reader."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiseki.history import number
from kiseki.record.row import Refused, admit, clean_name, encode_fixed_row, encode_row, exact, plain
from support import strict_json


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=30), st.floats(), max_size=12))
def test_every_float_reads_back_as_itself(values: dict[str, float]) -> None:
    read = strict_json(encode_row(dict(values)))
    assert list(read) == list(values)
    for name, value in values.items():
        back = number(read[name])
        assert back is not None
        assert (math.isnan(back) and math.isnan(value)) or back == value
        assert math.copysign(1, back) == math.copysign(1, value) or math.isnan(value)


@given(st.integers(-(10**400), 10**400))
def test_every_integer_keeps_its_digits(value: int) -> None:
    read = strict_json(encode_row({"n": exact(value)}))["n"]
    assert int(read) == value
    assert isinstance(read, int) == (abs(value) <= 2**53)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (True, 1),
        (np.float32(1.1), 1.100000023841858),
        (np.float64(0.1), 0.1),
        (np.int64(7), 7),
        (np.array(2.5), 2.5),
        (np.bool_(True), 1),
        (Decimal("0.25"), 0.25),
        (Fraction(1, 4), 0.25),
        (-0.0, -0.0),
    ],
)
def test_numbers_of_other_kinds_become_plain_ones(given: object, kept: float) -> None:
    assert plain(given) == kept
    assert type(plain(given)) in (int, float)
    assert math.copysign(1, plain(given)) == math.copysign(1, kept)


def test_a_bfloat16_tensor_is_one_number() -> None:
    torch = pytest.importorskip("torch")
    assert plain(torch.tensor(1.5, dtype=torch.bfloat16)) == 1.5


@pytest.mark.parametrize("value", ["0.5", b"1", [1.0], {"a": 1}, np.array([1.0, 2.0]), object(), 1 + 2j])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(Refused):
        plain(value)


def test_an_integer_that_python_will_not_write_is_refused() -> None:
    with pytest.raises(Refused, match="4,300 digits"):
        exact(10**5000)


@pytest.mark.parametrize("name", ["", "a\nb", "a\x00", "\ud800", "\x1b[31m"])
def test_names_that_would_break_a_line_or_a_terminal_are_refused(name: str) -> None:
    with pytest.raises(Refused):
        clean_name(name)


def test_names_are_normalised_so_that_one_name_is_one_metric() -> None:
    assert clean_name("が") == "が"


optional = st.one_of(st.none(), st.floats())


@given(st.integers(0, 2**53), st.lists(st.floats(), min_size=4, max_size=4), st.lists(optional, min_size=5, max_size=5))
def test_the_quick_way_writes_the_bytes_of_the_general_way_or_nothing(
    step: int, basic: list[float], more: list[float | None]
) -> None:
    epoch, elapsed, loss, learning_rate = basic
    names = ("pet_loss", "so8t_loss", "accuracy", "perplexity", "grad_norm")
    general = {
        "step": step,
        "epoch": epoch,
        "timestamp": "2026-11-23T05:00:00.000000Z",
        "elapsed_time_seconds": elapsed,
        "loss": loss,
        "learning_rate": learning_rate,
        "attempt": 1,
        **dict(zip(names, more, strict=True)),
    }
    quick = encode_fixed_row(step, epoch, general["timestamp"], elapsed, loss, learning_rate, 1, *more)
    all_finite = all(value is None or math.isfinite(value) for value in (*basic, *more))
    assert quick == (encode_row(admit(general, lambda *_: None)) if all_finite else None)


@pytest.mark.parametrize("loss", [True, "0.5", 3, 2**60, Decimal("0.5"), np.float64(0.5), None])
def test_the_quick_way_leaves_everything_but_floats_to_the_general_way(loss: object) -> None:
    assert encode_fixed_row(1, 0.1, "t", 0.1, loss, 0.1, 1, None, None, None, None, None) is None
