"""What users call. Journal, companion and report meet here, and nowhere else.

`record_step` is the training boundary: whatever fails inside is counted, told once a minute at most on the `kiseki`
logger, and reported at the end; it never reaches the training loop. Constructing a recorder and making a report are not
on that boundary: they raise, so that a wrong folder is known before the first step.
"""

import os
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import msgspec

from kiseki.companion.keeper import NoViews, ViewKeeper
from kiseki.errors import KisekiError, UsageError
from kiseki.record.arguments import checked_intent
from kiseki.record.attempt import begin, begin_nothing
from kiseki.record.boundary import TrainingBoundary
from kiseki.record.clock import Clock, SystemClock
from kiseki.record.intake import Intake
from kiseki.record.line import EVAL, NOTE, ROW
from kiseki.record.row import Number, encode_fixed_row
from kiseki.record.side_files import canonical_json, write_report_inputs
from kiseki.record.upkeep import Upkeep
from kiseki.record.writer import AttemptWriter
from kiseki.run_folder import RunFolder
from kiseki.telling import warn

if TYPE_CHECKING:
    from kiseki.provenance.energy import EnergyMeter

__all__ = ["Status", "TrainingMetricsRecorder"]

Status = Literal["completed", "interrupted", "failed"]

_SECOND = 1_000_000_000

# A notebook cell that is run again makes a second recorder for the same folder in the same process.
_recording_here: "weakref.WeakValueDictionary[Path, TrainingMetricsRecorder]" = weakref.WeakValueDictionary()


class TrainingMetricsRecorder:
    """Records a training run into a folder that can be opened, submitted and checked at any moment.

    Every row is kept when the call returns. JSON, CSV and the curves follow every `save_interval` steps, made by a
    companion process. Use it as a context manager: leaving the block closes the record with how training ended, and
    makes the PoC report unless one was made already.

    Args:
        output_dir: the trainer's output folder; `metrics/`, `plots/` and `poc_reports/` are made in it.
        model_name: as the report names the model.
        save_interval: how many optimizer steps may pass before JSON, CSV and PNG are brought up to date.
        save_plots: draw `plots/training_curves.png`.
        save_csv: keep `metrics/training_metrics.csv` (and `evaluation_metrics.csv`).
        save_json: keep `metrics/training_metrics.json` (and `evaluation_metrics.json`).
        config: the full configuration of the run; kept in `metrics/config.json`, with a salted digest in the journal.
        criteria: success criteria fixed before training: mappings with metric, operator, threshold, when. They stand
            with their digest in the journal's first line.
        resume_step: continue the run that stands in the folder after this optimizer step. Rows of earlier attempts
            beyond it are superseded, not deleted. Without it a new run begins and an earlier record is set aside whole.
        run_id: name of a new run (letters, digits, `._-`); made from the time when None.
        companion: make the views in a process of their own. False does the same work in this process.
        language: language of the curves' titles and labels.
        max_steps: optimizer steps the run is meant to take, so that the report can say what is missing.
        nonce: a text from the partner, put in the first line: shows that the record was not begun before it was given.
        allow_config_change: resume although the configuration is not the recorded one.
        rank: number of this process among those that train together. World process zero records; every other rank
            writes nothing, whatever is called.
        per_rank: other ranks keep a journal of their own, `metrics/ranks/rank_00001.jsonl` (see `kiseki.ranks`).
        clock: where times come from; for tests.

    Raises:
        UsageError: an argument is wrong; the message says which and what was expected.
        RunLocked: another process records into the folder.
        RunFolderError: the folder cannot be written.
        ForeignRun: `resume_step` was given, and the run that stands there is another or was configured otherwise.
        JournalDamaged: the record that is to be continued is not what was written.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with TrainingMetricsRecorder(folder, model_name="tiny", companion=False, save_plots=False) as recorder:
        ...     for step in (1, 2):
        ...         kept = recorder.record_step(step=step, epoch=step / 2, loss=1 / step, learning_rate=2e-4)
        >>> kept
        True
        >>> sorted(path.name for path in (Path(folder) / "metrics").glob("training*"))
        ['training_metrics.csv', 'training_metrics.json']
    """

    def __init__(
        self,
        output_dir: str | os.PathLike[str],
        model_name: str = "so8t_model",
        save_interval: int = 10,
        save_plots: bool = True,
        save_csv: bool = True,
        save_json: bool = True,
        *,
        config: Mapping[str, Any] | None = None,
        criteria: Sequence[Mapping[str, Any]] | None = None,
        resume_step: int | None = None,
        run_id: str | None = None,
        companion: bool = True,
        language: Literal["en", "ja"] = "en",
        max_steps: int | None = None,
        nonce: str | None = None,
        allow_config_change: bool = False,
        rank: int = 0,
        per_rank: bool = False,
        clock: Clock | None = None,
    ) -> None:
        intent = checked_intent(
            rank=rank,
            model_name=model_name,
            language=language,
            save_interval=save_interval,
            outputs={"json": save_json, "csv": save_csv, "plots": save_plots},
            max_steps=max_steps,
            nonce=nonce,
            criteria=None if criteria is None else _checked_criteria(criteria),
            config=config,
            environment=_describe_environment,
            resume_step=resume_step,
            run_id=run_id,
            allow_config_change=allow_config_change,
        )
        self.folder = RunFolder(Path(output_dir), rank)
        self._here = self.folder.journal.absolute()
        clock = clock or SystemClock()
        self._monotonic, self._wall = clock.monotonic_nanoseconds, clock.wall_nanoseconds
        self._boundary = TrainingBoundary(clock)
        earlier_here = _recording_here.pop(self._here, None)
        if earlier_here is not None:
            earlier_here.close("interrupted")

        records = rank == 0 or per_rank
        begun = begin(self.folder, intent, clock, _version()) if records else begin_nothing(intent, clock)
        # a recorder that is thrown away without `close` would hold the lock as long as this process lives
        weakref.finalize(self, begun.journal.close).atexit = False
        self.run_id = begun.run_id
        self.attempt = begun.number
        self._report_made = False
        self._pid = os.getpid()
        self._sealed_at = begun.began_monotonic_nanoseconds
        self._journal = begun.journal
        self._writer = AttemptWriter(begun, clock)
        self._intake = Intake(self._writer.append, self.mark, self._boundary.warn)
        try:
            meter = _energy_meter() if rank == 0 else None
            self._upkeep = Upkeep(self._writer, clock, self.mark, self._boundary.warn, meter)
            self._views = (
                ViewKeeper(
                    self.folder, save_interval, plots=save_plots, companion=companion, tell=self._note_view_failure
                )
                if rank == 0
                else NoViews()
            )
        except BaseException:  # nobody gets this recorder, so nobody could close it
            begun.journal.close()
            raise
        if records:
            _recording_here[self._here] = self

    # -- recording ------------------------------------------------------------------------------------------------

    def record_step(
        self,
        step: int,
        epoch: Number = None,
        loss: Number = None,
        learning_rate: Number = None,
        pet_loss: Number = None,
        so8t_loss: Number = None,
        accuracy: Number = None,
        perplexity: Number = None,
        grad_norm: Number = None,
        **more: Number,
    ) -> bool:
        """Record one row, of one optimizer step. Never raises.

        Values may be float, int, bool, Decimal, numpy scalars or 0-d tensors; None means not measured, and the key is
        absent. A tensor on an accelerator is copied at the call and written when the next row comes, or at `flush()`.

        Args:
            step: number of the optimizer step, 0 to 2**53.
            epoch: passes over the data so far.
            loss: total training loss.
            learning_rate: as used in that step.
            pet_loss: PET penalty times its weight.
            so8t_loss: weighted orthogonality term of the SO(8) gates.
            accuracy: token accuracy, 0 to 1.
            perplexity: exp of the language-model loss.
            grad_norm: L2 norm of the gradient before clipping.
            **more: any further metric, by name. `timestamp`, `elapsed_time_seconds` and `attempt` are the recorder's.

        Returns:
            True when the row survives SIGKILL from now on; False when it waits for the disk, was dropped and counted,
            waits for a device tensor, or was refused.
        """
        try:
            with self._boundary.mutex:
                writer = self._writer
                monotonic = self._monotonic()
                timestamp = writer.timestamp(self._wall())
                elapsed = (monotonic - writer.elapsed_zero) // 1000 / 1e6
                payload = None
                if not more and not self._intake.waiting:
                    payload = encode_fixed_row(
                        step, epoch, timestamp, elapsed, loss, learning_rate, self.attempt,
                        pet_loss, so8t_loss, accuracy, perplexity, grad_norm,
                    )  # fmt: skip
                if payload is not None:
                    if not (kept := self._journal.append(ROW, payload)):
                        writer.require_open()
                    writer.rows += 1
                    writer.last_step = step
                else:
                    fields: dict[str, Any] = {
                        "step": step, "epoch": epoch, "timestamp": timestamp, "elapsed_time_seconds": elapsed,
                        "loss": loss, "learning_rate": learning_rate, "attempt": self.attempt, "pet_loss": pet_loss,
                        "so8t_loss": so8t_loss, "accuracy": accuracy, "perplexity": perplexity, "grad_norm": grad_norm,
                    }  # fmt: skip
                    kept = self._intake.take(ROW, fields, more)
                if monotonic - self._sealed_at >= _SECOND:
                    self._once_a_second(monotonic)
                return kept
        except Exception as error:  # noqa: BLE001 - the training boundary, without the cost of entering a block
            self._boundary.count(error)
            return False

    def record_evaluation(self, step: int, epoch: Number = None, **metrics: Number) -> bool:
        """Record an evaluation, apart from the training rows. Never raises.

        Args:
            step: the optimizer step after which it was made.
            epoch: passes over the data so far.
            **metrics: what was measured, `eval_loss` and the like.

        Returns:
            As `record_step`.
        """
        with self._boundary:
            fields = {"step": step, "epoch": epoch, **self._writer.dated(), "attempt": self.attempt}
            return self._intake.take(EVAL, fields, metrics)
        return False

    def mark(self, kind: str, **fields: object) -> bool:
        """Note anything worth keeping: `mark("phase", name="transition", step=24)`. Never raises.

        Phases are shaded in the curves; every note stands in the report.

        Args:
            kind: what sort of note it is.
            **fields: numbers and texts.

        Returns:
            True when the note survives SIGKILL.
        """
        with self._boundary:
            note = {"kind": kind, "timestamp": self._writer.timestamp(self._wall()), **fields}
            return self._journal.append(NOTE, canonical_note(note))
        return False

    # -- keeping --------------------------------------------------------------------------------------------------

    def flush(self) -> bool:
        """Make every row recorded so far survive loss of power, and seal it. Never raises.

        Returns:
            True when the disk said so; False when it did not, or rows are still waiting for it.
        """
        with self._boundary:
            self._intake.finish()
            self._journal.seal()
            return self._journal.sync()
        return False

    def refresh(self) -> bool:
        """Bring JSON, CSV and PNG up to date now. Never raises.

        Returns:
            True when all of them show every row recorded so far.
        """
        with self._boundary:
            self._intake.finish()
            return self._views.refresh()
        return False

    def close(self, status: Status = "completed", *, error: str | None = None) -> None:
        """End the record: close line, seal, durability, views. Harmless in any order and when called twice.

        Args:
            status: how training ended.
            error: why, in a few words, when it did not end well.
        """
        with self._boundary.mutex:
            if not self._journal.is_open:
                return
            try:
                # one at a time: a device that was lost is a reason for what fails first, and none for what comes after
                for ending in (
                    self._intake.finish,
                    self._upkeep.note_energy,
                    lambda: self._append_close(status, error),
                    self._journal.seal,
                    self._journal.sync,
                    self._views.refresh,
                ):
                    with self._boundary:
                        ending()
            finally:
                try:
                    self._views.end()
                finally:
                    self._journal.close()
                    _recording_here.pop(self._here, None)

    def generate_poc_report(
        self,
        model_config: Mapping[str, Any] | None = None,
        training_config: Mapping[str, Any] | None = None,
        final_metrics: Mapping[str, Any] | None = None,
        *,
        live: Mapping[str, Any] | None = None,
        status: Status | None = None,
        formats: Sequence[str] | None = None,
    ) -> Path:
        """Make the PoC report: `poc_reports/poc_report_{time}.json`, `.html`, `.pdf` and `poc_summary_{time}.csv`.

        Works before and after `close()`, and again whenever it is called; nothing is ever overwritten. HTML and PDF
        come after JSON and CSV, and one that cannot be made is told and counted, not raised.

        Args:
            model_config: effective settings of the model.
            training_config: effective settings of the training.
            final_metrics: further final values; what was recorded is there anyway and is not replaced.
            live: what the live model and trainer really have, when that was looked up.
            status: how training ended. By default what `close` was told, or `completed` while the record is open.
            formats: which of `json`, `csv`, `html` and `pdf` to make, `json` among them; all by default.

        Returns:
            The path of the JSON report.

        Raises:
            KisekiError: the report cannot be written; the record is untouched.
        """
        from kiseki.report.generate import DEFAULT_FORMATS, check_formats, generate_report

        if formats is not None and "json" not in formats:
            raise UsageError(f"formats: json must be among them, it is the report itself; found {', '.join(formats)}")
        check_formats(formats := formats or DEFAULT_FORMATS)
        if self.folder.rank:
            raise UsageError(f"rank {self.folder.rank} makes no report: call generate_poc_report on rank 0 alone")
        inputs = {
            "model_config": model_config,
            "training_config": training_config,
            "final_metrics": final_metrics,
            "live": live,
        }
        with self._boundary.mutex:
            name, digest = write_report_inputs(self.folder, self.attempt, inputs)
            recording = self._journal.is_open
            if recording:
                self.mark("report_inputs", file=name, sha256=digest)
                self.flush()
                self.refresh()
            files = generate_report(self.folder, status=status or ("completed" if recording else None), formats=formats)
            self._report_made = True
            for why in files.failed.values():
                self._boundary.errors += 1
                self._boundary.warn(f"the report is incomplete: {why}")
            return files.json

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if os.getpid() != self._pid:  # a forked child that leaves the block: the record is its parent's
            return
        if error is None:
            self.close("completed")
        else:
            interrupted = isinstance(error, (KeyboardInterrupt, SystemExit))
            self.close("interrupted" if interrupted else "failed", error=type(error).__name__)
        if not self._report_made and self.folder.rank == 0:
            try:
                self.generate_poc_report()
            except (KisekiError, OSError) as failure:
                # what ended the block matters more than the report about it, which can be made again
                warn("the report was not made: %s", failure)

    # -- what happened --------------------------------------------------------------------------------------------

    @property
    def errors(self) -> int:
        """How often something failed inside the recorder."""
        journal = self._journal
        return self._boundary.errors + self._intake.refused + journal.write_errors + journal.sync_errors

    @property
    def dropped_rows(self) -> int:
        """Rows that are in no file: lost, or waiting in memory for a disk that does not take them."""
        return self._journal.dropped_rows + self._journal.waiting_rows

    # -- inside ---------------------------------------------------------------------------------------------------

    def _append_close(self, status: Status, error: str | None) -> None:
        if self._journal.failing:
            self._journal.sync()  # rows that can be written after all are not dropped
        self._writer.append_close(status, error, self.errors)

    def _once_a_second(self, monotonic: int) -> None:
        self._sealed_at = monotonic
        if not self._journal.is_open:
            return
        self._upkeep.attend(monotonic)
        if not self._views.syncs:
            self._journal.sync()
        if self._views.here and self._writer.last_step is not None:
            self._views.recorded(self._writer.last_step)

    def _note_view_failure(self, what: str) -> None:
        self._boundary.errors += 1
        self.mark("companion_failure", error=what)
        self._boundary.warn(what)


def canonical_note(note: Mapping[str, Any]) -> bytes:
    """The bytes of a note: its own key order, whatever it holds written as plain JSON."""
    plainly = msgspec.json.decode(canonical_json(note))
    return msgspec.json.encode({key: plainly[str(key)] for key in note})


def _checked_criteria(criteria: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    from kiseki.analysis.criteria import criteria_digest, parse_criteria
    from kiseki.vocabulary import misspelt

    parsed = parse_criteria([dict(criterion) for criterion in criteria])
    for criterion in parsed:
        if meant := misspelt(criterion.metric):
            warn("criterion on %s: no such metric is known; did you mean %s?", criterion.metric, meant)
    return msgspec.to_builtins(parsed), criteria_digest(parsed)


def _describe_environment() -> Mapping[str, Any]:
    from kiseki.provenance.environment import describe_environment

    return describe_environment()


def _energy_meter() -> "EnergyMeter":
    from kiseki.provenance.energy import EnergyMeter, gpu_joules

    return EnergyMeter(gpu_joules)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("kiseki")
    except PackageNotFoundError:
        return "unknown"
