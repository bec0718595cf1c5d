"""From the trainer's sums to the rows that kiseki keeps.

Every rank has a `Recording`, since all of them must meet where sums are brought together; only world process zero's
has a recorder. Nothing in here may stop training: whatever fails is counted, told, and noted in the record.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from kiseki import TrainingMetricsRecorder
from so8t.model.rotation import SO8Gate
from so8t.model.rotation_statistics import whole_gates
from so8t.training.boundary import Boundary
from so8t.training.peak_memory import PeakMemory
from so8t.training.row import StepFacts, rank_columns, training_row
from so8t.training.window import WINDOW_FILE, Gather, RecordingWindow, WindowTotals, numbers_on_host, write_window

GateStatistics = Callable[[Mapping[int, SO8Gate]], Mapping[str, float | Tensor]]
"""Measures gates, given by decoder layer: numbers, or 0-d tensors of one device, by metric name."""


class Recording:
    """Sums up optimizer steps and records a row whenever one is due.

    Args:
        recorder: kiseki's; None on the ranks that do not record.
        boundary: where errors of recording end.
        device: where the loss is computed.
        every: optimizer steps from row to row.
        gates: the model's SO(8) gates by decoder layer.
        ranks: number of processes that train.
        gather: brings together what all ranks have; None with one rank.
        statistics: measures the gates for each row, where it is recorded; None: rows say nothing of them.
        clock: monotonic seconds.

    Attributes:
        learning_rates: of the step being taken, set by the trainer when it reads them; empty until then.
    """

    def __init__(
        self,
        recorder: TrainingMetricsRecorder | None,
        boundary: Boundary,
        *,
        device: torch.device,
        every: int,
        gates: Mapping[int, SO8Gate],
        ranks: int = 1,
        gather: Gather | None = None,
        statistics: GateStatistics | None = None,
        clock: Callable[[], float],
    ) -> None:
        self.window = RecordingWindow(device, clock)
        self.learning_rates: Mapping[str, float] = {}
        self._recorder = recorder
        self._boundary = boundary
        self._every = every
        self._gates = gates
        self._ranks = ranks
        self._gather = gather
        self._statistics = statistics
        self._memory = PeakMemory(device)
        self._tokens_seen: int | None = 0
        self._phase: str | None = None
        self._latest: StepFacts | None = None

    def begin_phase(self, name: str, step: int) -> None:
        """PET is in phase `name` from optimizer step `step` on; noted where it changes."""
        if name != self._phase and self._recorder is not None:
            self._recorder.mark("phase", name=name, step=step)
        self._phase = name

    def close_step(self, facts: StepFacts, *, last: bool) -> None:
        """An optimizer step is done; record a row when it is due, or training ends here.

        Harmless when no step is open, as at the end of an epoch.
        """
        with self._boundary.guarded("summing up an optimizer step"):
            if self.window.has_open_step:
                self.window.close_step(facts.step)
                self._memory.sample()
                self._latest, self.learning_rates = facts, {}
            if last or facts.step % self._every == 0:
                self._record_row()

    def close(self) -> None:
        """Record the steps since the last row; a step that was not finished is left out."""
        with self._boundary.guarded("recording the last row"):
            self._record_row()

    def _record_row(self) -> None:
        facts = self._latest
        if facts is None or not self.window.steps:
            return
        on_device = facts.grad_norm if isinstance(facts.grad_norm, Tensor) else None
        reading = self.window.read(
            on_device, peak_memory_bytes=self._memory.take(), ranks=self._ranks, gather=self._gather
        )
        totals = reading.totals
        self.window.reset()
        if self._tokens_seen is not None:
            self._tokens_seen += int(totals.input_tokens)
        gates = self._gates_to_measure()
        if self._recorder is None:
            return
        grad_norm = reading.also if isinstance(facts.grad_norm, Tensor) else facts.grad_norm
        row = training_row(totals, facts, grad_norm, gates=bool(self._gates))
        if self._tokens_seen is not None:
            row["tokens_seen"] = self._tokens_seen
        row["peak_memory_bytes"] = max(share.peak_memory_bytes for share in reading.ranks)
        row.update(rank_columns(reading.ranks))
        if gates and self._statistics is not None:
            with self._boundary.guarded("measuring the gates"):
                row.update(numbers_on_host(self._statistics(gates)))
        if totals.non_finite_steps:
            self._recorder.mark("non_finite", step=totals.first_non_finite_step, steps=totals.non_finite_steps)
        self._recorder.record_step(**row)

    def _gates_to_measure(self) -> Mapping[int, SO8Gate]:
        """Brought together from all ranks, before what only the recording one does: where that failed, the others would
        wait for it."""
        gates: Mapping[int, SO8Gate] = {}
        if self._statistics is not None:
            with self._boundary.guarded("bringing the gates together"):
                gates = whole_gates(self._gates)
        return gates

    def record_evaluation(self, step: int, epoch: float | None, values: Mapping[str, float]) -> None:
        """Record an evaluation, apart from the training rows."""
        if self._recorder is not None:
            self._recorder.record_evaluation(step, epoch, **values)

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def snapshot(self) -> Callable[[Path], None]:
        """Bring the window together from all ranks, and the record so far to the disk: a checkpoint that survives a
        power cut is not to stand beside a record that ends before it.

        Where the disk refuses the record, the checkpoint is written all the same: trained weights are worth more than
        rows. `go_on` then tells which are missing.

        Returns:
            Writes it into the checkpoint folder it is given; never raises, and writes nothing where bringing it
            together failed.
        """
        totals: WindowTotals | None = None
        tokens_seen = self._tokens_seen
        with self._boundary.guarded("bringing the recording window together"):
            totals = self.window.read(ranks=self._ranks, gather=self._gather).totals
        if self._recorder is not None:
            self._recorder.flush()

        def write(checkpoint: Path) -> None:
            if totals is not None:
                with self._boundary.guarded("writing the recording window into the checkpoint"):
                    write_window(checkpoint / WINDOW_FILE, totals, tokens_seen)

        return write

    def go_on(
        self, saved: tuple[WindowTotals, int | None] | None, *, step: int, last_row: int, row_stands: bool
    ) -> None:
        """Go on from the checkpoint that training resumes from.

        Args:
            step: the checkpoint's.
            last_row: step of the last row that the record has up to there, 0 for none; asked of the rank that records.
            saved: what `read_window` found in it; None: it was written while nothing was recorded. The next row then
                begins at the checkpoint, and how many tokens were seen before is not known.
            row_stands: the record has a row of the checkpoint's step, which covers what `saved` holds: its steps are
                not counted a second time.
        """
        if saved is None:
            self._tokens_seen = None
            if self._recorder is not None:
                text = "the checkpoint holds no recording window: the first row covers only the steps after it"
                self._recorder.mark("warning", text=text)
            return
        totals, tokens_seen = saved
        recorded = step - totals.steps
        if self._recorder is not None and last_row < recorded:
            text = f"the record had ended at step {last_row}, and training goes on after step {step}"
            lost = f"the rows of the steps {last_row + 1} to {recorded} were lost"
            self._recorder.mark("warning", text=f"{text}: {lost}")
        if not row_stands:
            self._tokens_seen = tokens_seen
            self.window.restore(totals, ranks=self._ranks, first_rank=self._recorder is not None)
        else:
            self._tokens_seen = None if tokens_seen is None else tokens_seen + int(totals.input_tokens)
