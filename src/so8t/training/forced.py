"""What a record says of a run that went on under other settings or data because its operator said so."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from kiseki import TrainingMetricsRecorder
from kiseki.provenance.redaction import Redactor
from so8t.training.recovery import shown_differences


class ForcedResume(TrainerCallback):  # type: ignore[misc]
    """Notes in the record what `--force` overrode: all differences, and a warning that the report shows.

    Args:
        differences: a phrase each; paths in them are shortened to their last part, since partners see the record.
        run_dir: the run folder.
        recorder: gives the recorder once training begins; None where nothing is recorded.
    """

    def __init__(
        self, differences: Sequence[str], run_dir: Path, recorder: Callable[[], TrainingMetricsRecorder | None]
    ) -> None:
        redactor = Redactor.of_this_machine(run_dir)
        self._differences = [redactor.text(difference) for difference in differences]
        self._recorder = recorder

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note it in the attempt that goes on."""
        recorder = self._recorder()
        if recorder is not None:
            recorder.mark("forced_resume", step=state.global_step, differences=self._differences)
            text = f"resumed after step {state.global_step} under other settings (--force)"
            recorder.mark("warning", text=f"{text}: {shown_differences(self._differences)}")
