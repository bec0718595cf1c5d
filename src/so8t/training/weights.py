"""Binds the record to the weights: digests of the base model as training begins, of what was trained as it ends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from transformers import TrainerCallback

from kiseki import TrainingMetricsRecorder
from so8t.model.weight_files import WeightFile, digest_weights
from so8t.training.console_texts import Language, text
from so8t.training.earlier import FINAL

_ADAPTER_FILES = ("adapter_model.", "so8_gates.")
_WORTH_SAYING_BYTES = 3 << 30


def base_weights(folder: Path, tell: Callable[[str], None], language: Language = "en") -> dict[str, WeightFile]:
    """The digests of the model that training begins from; none where the folder holds no weights.

    Read before the model is loaded they cost a second for each 1.7 GB, and leave the files in the memory of the
    operating system.

    Args:
        folder: the base model's folder.
        tell: told when it takes more than a moment.
        language: of what is told.
    """
    if sum(file.stat().st_size for file in folder.glob("*.safetensors")) > _WORTH_SAYING_BYTES:
        tell(text("digests", language))
    return digest_weights(folder)


def note_final_model(recorder: TrainingMetricsRecorder, run_dir: Path) -> None:
    """Note the digests of the final model; adapter and gates under a role of their own as well."""
    files = digest_weights(run_dir / FINAL)
    adapter = {name: file for name, file in files.items() if name.startswith(_ADAPTER_FILES)}
    _note(recorder, "adapter", FINAL, adapter)
    _note(recorder, "final", FINAL, files)


def _note(recorder: TrainingMetricsRecorder, role: str, name: str, files: dict[str, WeightFile]) -> None:
    if files:
        recorder.mark("weights", role=role, name=name, files=msgspec.to_builtins(files))


class WeightsCallback(TrainerCallback):  # type: ignore[misc]
    """Notes the base model's digests as training begins; saves the final model as it ends, and notes its digests.

    Args:
        base_name: name of the base model's folder.
        base: the digests of its weights, as they were loaded from there.
        run_dir: the run folder.
        recorder: gives the run's recorder, None in a process that does not record.
        save_final: saves the final model, on all ranks together; told nothing when training stopped early.
        finished: whether training came to its end.
    """

    def __init__(
        self,
        base_name: str,
        base: dict[str, WeightFile],
        run_dir: Path,
        recorder: Callable[[], TrainingMetricsRecorder | None],
        save_final: Callable[[], None],
        finished: Callable[[], bool],
    ) -> None:
        self._base_name, self._base = base_name, base
        self._run_dir = run_dir
        self._recorder = recorder
        self._save_final = save_final
        self._finished = finished

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The record is open from here on."""
        recorder = self._recorder()
        if recorder is not None:
            _note(recorder, "base_model", self._base_name, self._base)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The record is still open, so the final weights' digests become part of it."""
        if not self._finished():
            return
        self._save_final()
        recorder = self._recorder()
        if recorder is not None:
            note_final_model(recorder, self._run_dir)
