"""The end of a run: the final model, and the files to submit."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kiseki import TrainingMetricsRecorder
from kiseki.run_folder import RunFolder
from so8t.model.attach import GATES_FILE, find_gates, save_gates
from so8t.training.checkpoints import MANIFEST, checkpoint_step
from so8t.training.console_texts import Language, text
from so8t.training.earlier import FINAL
from so8t.training.weights import note_final_model
from so8t.training.window import WINDOW_FILE

_PARTIAL = f".{FINAL}.partial"
_FOR_RESUMING_ONLY = (
    "optimizer*",
    "scheduler*",
    "rng_state*",
    "scaler*",
    "trainer_state.json",
    "training_args.bin",  # a pickle, with private paths in it
    WINDOW_FILE,
    MANIFEST,
)
"""What a checkpoint holds beside the model."""


@dataclass(frozen=True)
class Submission:
    """The files of a PoC report to hand over.

    Attributes:
        report: the whole report, JSON.
        summary: its figures, CSV.
        page: to read in a browser, HTML.
        document: to print and to send, PDF.
        curves: the learning curves, PNG.
    """

    report: Path
    summary: Path
    page: Path
    document: Path
    curves: Path

    @classmethod
    def of(cls, run_dir: Path, report: Path) -> "Submission":
        """The files that go with a report."""
        summary = report.with_name(report.name.replace("poc_report_", "poc_summary_")).with_suffix(".csv")
        return cls(
            report, summary, report.with_suffix(".html"), report.with_suffix(".pdf"), RunFolder(run_dir).curves_png
        )

    def listed(self, tell: Callable[[str], None], language: Language = "en") -> None:
        """Name them, relative to the working folder where they are below it."""
        tell(text("files", language))
        for path in (self.report, self.summary, self.page, self.document, self.curves):
            tell(f"  {shown_path(path)}" + ("" if path.exists() else text("missing", language)))


def shown_path(path: Path) -> str:
    """A path relative to the working folder where it is below it.

    Example:
        >>> shown_path(Path.cwd() / "runs" / "demo") == str(Path("runs/demo"))
        True
    """
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else path)


def save_final(model: Any, tokenizer: Any, run_dir: Path, whole_state: Mapping[str, Any] | None = None) -> Path:
    """Save the trained model (adapter or weights, gates, tokenizer) to `final`, which appears whole or not at all.

    Args:
        model: the transformers or PEFT model, out of any distributed wrapper.
        tokenizer: its tokenizer.
        run_dir: the run folder.
        whole_state: the model's state, where FSDP has split the model over ranks.
    """
    partial = _empty_partial(run_dir)
    model.save_pretrained(partial, state_dict=whole_state)
    if find_gates(model):
        save_gates(model, partial / GATES_FILE, whole_state)
    tokenizer.save_pretrained(partial)
    return _put_in_place(partial, run_dir / FINAL)


def _empty_partial(run_dir: Path) -> Path:
    partial = run_dir / _PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    return partial


def _put_in_place(partial: Path, final: Path) -> Path:
    replaced = final.with_name(f".{final.name}.replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if final.exists():
        final.rename(replaced)
    partial.rename(final)
    shutil.rmtree(replaced, ignore_errors=True)
    return final


def already_trained(checkpoint: Path) -> bool:
    """Whether a checkpoint is the last step of its run."""
    state = json.loads((checkpoint / "trainer_state.json").read_bytes())
    return bool(state["global_step"] >= state["max_steps"])


def finish(
    run_dir: Path, checkpoint: Path, *, record: bool, completed: bool, recorder_options: Mapping[str, Any]
) -> Path | None:
    """Make what a run lacks that was killed after its last step: the end of its record, the report, the final model.

    Args:
        run_dir: the run folder.
        checkpoint: the run's last checkpoint.
        record: whether metrics are recorded.
        completed: whether the run had come to its end before, so that an existing report is its last.
        recorder_options: as for the run's recorder.

    Returns:
        The report; None where metrics are not recorded.
    """
    if not (run_dir / FINAL).is_dir():
        partial = _empty_partial(run_dir)
        ignored = shutil.ignore_patterns(*_FOR_RESUMING_ONLY)
        shutil.copytree(checkpoint, partial, ignore=ignored, dirs_exist_ok=True)
        _put_in_place(partial, run_dir / FINAL)
    if not record:
        return None
    reports = sorted(RunFolder(run_dir).reports.glob("poc_report_*.json"), key=lambda path: path.stat().st_mtime_ns)
    if completed and reports:
        return reports[-1]
    recorder = TrainingMetricsRecorder(run_dir, resume_step=checkpoint_step(checkpoint), **recorder_options)
    note_final_model(recorder, run_dir)
    recorder.close("completed")
    return recorder.generate_poc_report()
