"""What happened since the last recorded row, summed on the device.

A row covers the optimizer steps since the row before it. Nothing is read back from the device meanwhile: values of a
micro-batch go into the step's sums, the step's sums into the window's, and when a row is due one small tensor is
copied to the host. The sums travel in checkpoints, so that a resumed run writes the rows it would have written.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from so8t.errors import CheckpointError
from so8t.training.losses import accumulator_dtype

WINDOW_FILE = "recording_window.json"
"""File in a checkpoint that holds the window as it stood there."""

_SUMS = ("cross_entropy", "tokens", "correct", "input_tokens", "pet_penalty", "pet_loss", "so8t_loss")
_MEANS_OVER_RANKS = ("pet_penalty", "pet_loss", "so8t_loss")
"""Every rank computes these for the whole batch's mean; the others add up."""

Gather = Callable[[Tensor], Tensor]
"""[n] of this rank -> [ranks, n] of all."""


@dataclass(frozen=True)
class WindowTotals:
    """A window on the host, over all ranks.

    Attributes:
        steps: optimizer steps in it.
        seconds: time spent training in it, evaluations and checkpoints left out.
        cross_entropy: sum over the predicted tokens, nats.
        tokens: predicted tokens.
        correct: those predicted right.
        input_tokens: tokens that went into the model, padding left out.
        pet_penalty: sum over the steps of PET before weighting.
        pet_loss: sum over the steps of lambda * PET.
        so8t_loss: sum over the steps of the gates' term.
        non_finite_steps: steps whose loss was NaN or infinite.
        first_non_finite_step: number of the first of them; 0 for none.
    """

    steps: int
    seconds: float
    cross_entropy: float
    tokens: float
    correct: float
    input_tokens: float
    pet_penalty: float
    pet_loss: float
    so8t_loss: float
    non_finite_steps: int
    first_non_finite_step: int


@dataclass(frozen=True)
class RankShare:
    """What one rank did in a window.

    Attributes:
        input_tokens: tokens that went into its model, padding left out; None where the window goes on from a
            checkpoint, which holds only what all ranks had done together.
        seconds: time it spent training.
        peak_memory_bytes: the largest memory it used.
    """

    input_tokens: float | None
    seconds: float
    peak_memory_bytes: int


@dataclass(frozen=True)
class Reading:
    """A window brought to the host.

    Attributes:
        totals: over all ranks.
        also: the value of the tensor that came along; None without one.
        ranks: each rank's own share.
    """

    totals: WindowTotals
    also: float | None
    ranks: tuple[RankShare, ...]


class RecordingWindow:
    """Sums over the micro-batches and optimizer steps since the last row.

    Args:
        device: where the loss is computed.
        clock: monotonic seconds.

    Attributes:
        dtype: of the sums.
        steps: optimizer steps in the window.
        has_open_step: whether micro-batches were added since the last step was closed.

    Example:
        >>> window = RecordingWindow(torch.device("cpu"), clock=lambda: 0.0)
        >>> for step, loss in ((1, 2.0), (2, float("nan"))):
        ...     window.add(cross_entropy=torch.tensor(loss), tokens=torch.tensor(1))
        ...     window.close_step(step)
        >>> totals = window.read().totals
        >>> totals.steps, totals.tokens, totals.non_finite_steps, totals.first_non_finite_step
        (2, 2.0, 1, 2)
    """

    def __init__(self, device: torch.device, clock: Callable[[], float]) -> None:
        self.dtype = accumulator_dtype(device)
        self._clock = clock
        self._zero = torch.zeros((), dtype=self.dtype, device=device)
        self._step = torch.zeros(len(_SUMS), dtype=self.dtype, device=device)
        self._window = torch.zeros_like(self._step)
        self._non_finite = torch.zeros(2, dtype=self.dtype, device=device)
        self.has_open_step = False
        self._began = clock()
        self._seconds_before = 0.0
        self._goes_on = False
        self.steps = 0

    @torch.no_grad()
    def add(self, **values: Tensor | None) -> None:
        """Take in a micro-batch.

        Args:
            **values: 0-d tensors named as in `WindowTotals`; None and what is not given count as 0.
        """
        columns = [values.get(name) for name in _SUMS]
        converted = [self._zero if v is None else v.detach().to(self._zero.device, self.dtype) for v in columns]
        self._step += torch.stack(converted)
        self.has_open_step = True

    @torch.no_grad()
    def close_step(self, step: int) -> None:
        """The micro-batches added since the last call were optimizer step `step`."""
        loss = self._step[0] + self._step[-2] + self._step[-1]
        bad = (~loss.isfinite()).to(self.dtype)
        first = torch.where(self._non_finite[1] == 0, bad * step, self._non_finite[1])
        self._non_finite = torch.stack([self._non_finite[0] + bad, first])
        self._window += self._step
        self._step.zero_()
        self.has_open_step = False
        self.steps += 1

    @torch.no_grad()
    def read(
        self,
        also: Tensor | None = None,
        *,
        peak_memory_bytes: int = 0,
        ranks: int = 1,
        gather: Gather | None = None,
    ) -> Reading:
        """Bring the window to the host: the one synchronisation of a recorded step. An open step is not part of it.

        Args:
            also: one more 0-d tensor of this device to bring along.
            peak_memory_bytes: the largest memory this rank used in the window.
            ranks: number of processes that train.
            gather: brings together what all of them have; needed, and called by all of them, with more than one.
        """
        own = (self._seconds(), float(peak_memory_bytes))
        packed = torch.cat([self._window, self._non_finite])
        if also is not None:
            packed = torch.cat([packed, also.detach().reshape(1).to(packed.device, packed.dtype)])
        if gather is None:
            host = [[*row, *own] for row in to_host(packed[None])]
        else:
            host = to_host(gather(torch.cat([packed, packed.new_tensor(own)])))
        sums = {name: sum(row[column] for row in host) for column, name in enumerate(_SUMS)}
        for name in _MEANS_OVER_RANKS:
            sums[name] /= ranks
        width = len(_SUMS)
        totals = WindowTotals(
            steps=self.steps,
            seconds=own[0],
            **sums,
            non_finite_steps=int(max(row[width] for row in host)),
            first_non_finite_step=int(min((row[width + 1] for row in host if row[width + 1]), default=0)),
        )
        tokens = _SUMS.index("input_tokens")
        shares = tuple(RankShare(None if self._goes_on else row[tokens], row[-2], int(row[-1])) for row in host)
        return Reading(totals, host[0][width + 2] if also is not None else None, shares)

    @torch.no_grad()
    def reset(self) -> None:
        """Begin the next window."""
        self._window.zero_()
        self._non_finite = torch.zeros_like(self._non_finite)
        self.steps = 0
        self._began = self._clock()
        self._seconds_before = 0.0
        self._goes_on = False

    def restore(self, totals: WindowTotals, *, ranks: int = 1, first_rank: bool = True) -> None:
        """Go on from a window that a checkpoint holds; the totals of all ranks go to the first one."""
        self.reset()
        self.steps = totals.steps
        self._seconds_before = totals.seconds
        self._goes_on = totals.steps > 0
        if first_rank:
            scale = {name: ranks if name in _MEANS_OVER_RANKS else 1 for name in _SUMS}
            sums = [getattr(totals, name) * scale[name] for name in _SUMS]
            self._window = torch.tensor(sums, dtype=self.dtype, device=self._zero.device)
            counts = [totals.non_finite_steps, totals.first_non_finite_step]
            self._non_finite = torch.tensor(counts, dtype=self.dtype, device=self._zero.device)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time spent inside is not training."""
        stopped = self._clock()
        try:
            yield
        finally:
            self._began += self._clock() - stopped

    def _seconds(self) -> float:
        return self._seconds_before + self._clock() - self._began


def to_host(rows: Tensor) -> list[list[float]]:
    """Copy [ranks, n] to the host, waiting for the device: the only place where recording does."""
    host = torch.empty(rows.shape, dtype=rows.dtype, device="cpu")
    host.copy_(rows)
    values: list[list[float]] = host.tolist()
    return values


def numbers_on_host(values: Mapping[str, float | Tensor]) -> dict[str, float]:
    """The numbers of a mapping whose values may be 0-d tensors of one device; those come over in a single copy.

    Example:
        >>> numbers_on_host({"angle": torch.tensor(0.5), "layers": 2.0})
        {'angle': 0.5, 'layers': 2.0}
    """
    tensors = {name: value.detach().reshape(()) for name, value in values.items() if isinstance(value, Tensor)}
    if not tensors:
        return {name: float(value) for name, value in values.items()}
    dtype = accumulator_dtype(next(iter(tensors.values())).device)
    (host,) = to_host(torch.stack([tensor.to(dtype) for tensor in tensors.values()])[None])
    brought = dict(zip(tensors, host, strict=True))
    return {name: brought[name] if name in brought else float(value) for name, value in values.items()}


def write_window(path: Path, totals: WindowTotals, tokens_seen: int | None) -> None:
    """Keep a window in a checkpoint. Non-finite numbers stand as strings, since JSON has none."""
    content: dict[str, Any] = {"tokens_seen": tokens_seen, "window": asdict(totals)}
    window = content["window"]
    for name, value in window.items():
        if not math.isfinite(value):
            window[name] = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, allow_nan=False, indent=1) + "\n", encoding="utf-8", newline="\n")
    partial.replace(path)


def read_window(path: Path) -> tuple[WindowTotals, int | None]:
    """The window of a checkpoint, and the tokens seen up to its beginning.

    Raises:
        CheckpointError: the file cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        window: dict[str, Any] = {
            field.name: (int if field.type is int else float)(content["window"][field.name])
            for field in fields(WindowTotals)
        }
        totals = WindowTotals(**window)
        tokens_seen = content["tokens_seen"]
        return totals, None if tokens_seen is None else int(tokens_seen)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}): resume from an earlier checkpoint, or delete this file to let the next "
            "row begin at the checkpoint"
        ) from error
