"""What recording costs inside a Hugging Face Trainer run: CPU time in recorder code ÷ time of an optimizer step.

The tiny model's steps take milliseconds, so the share is far above what any real model would see. The time is taken
around the recorder's calls and around our own accumulation in the trainer: two whole runs, with and without, differ by
more noise than recording costs.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainingArguments

from kiseki import TrainingMetricsRecorder
from so8t import SO8TPETTrainer
from so8t.data.dataset import ThinkingCollator, ThinkingDataset
from so8t.model.attach import attach_gates
from so8t.model.tiny import build
from so8t.training.recording import Recording

STEPS = 100
EXAMPLES = Path(__file__).parents[1] / "examples" / "data"
RESULTS = Path(__file__).parent / "results"


class Spent:
    """Sums up the CPU time of calls to some methods; calls inside one another count once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0
        self._depth = 0

    def around(self, owner: type, name: str) -> None:
        """Time every call of a method from now on."""
        method: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            self._depth += 1
            began = time.thread_time()
            try:
                return method(*arguments, **named)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.seconds += time.thread_time() - began
                    self.calls += 1

        setattr(owner, name, timed)


def main() -> None:
    """Train the tiny model and print the share."""
    torch.set_num_threads(1)
    recorder, recording = Spent(), Spent()
    for name in ("record_step", "record_evaluation", "mark"):
        recorder.around(TrainingMetricsRecorder, name)
    recording.around(Recording, "close_step")
    recording.around(SO8TPETTrainer, "_add_to_window")
    with tempfile.TemporaryDirectory() as scratch:
        train = EXAMPLES / "quadruple_thinking_train.jsonl"
        folder = build(Path(scratch) / "tiny", train.read_text(encoding="utf-8").splitlines())
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder)
        attach_gates(model)
        trainer = SO8TPETTrainer(
            model,
            TrainingArguments(
                output_dir=str(Path(scratch) / "run"), max_steps=STEPS, per_device_train_batch_size=2,
                gradient_accumulation_steps=4, use_cpu=True, report_to="none", disable_tqdm=True, save_strategy="no",
                logging_strategy="no", remove_unused_columns=False,
            ),
            train_dataset=ThinkingDataset(train, tokenizer, max_seq_length=512),
            data_collator=ThinkingCollator.of(tokenizer),
            pet_regularization={},
            save_metrics_steps=1,
        )  # fmt: skip
        began = time.perf_counter()
        trainer.train()
        wall = time.perf_counter() - began
    step = wall / STEPS
    text = "\n".join(
        [
            f"# Recording in a Trainer run, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "",
            f"Tiny Phi-3 (1 M parameters), {STEPS} optimizer steps of 4 micro-batches, a row at every step.",
            "",
            "| | per optimizer step | share of a step |",
            "|---|---:|---:|",
            f"| optimizer step, wall | {step * 1e3:.1f} ms | 100 % |",
            f"| kiseki: record_step, mark | {recorder.seconds / STEPS * 1e6:.0f} µs CPU "
            f"| {recorder.seconds / wall * 100:.3f} % |",
            f"| so8t: sums over the window and closing the row, kiseki's calls included "
            f"| {recording.seconds / STEPS * 1e6:.0f} µs CPU | {recording.seconds / wall * 100:.3f} % |",
            "",
        ]
    )
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-trainer.md").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    sys.exit(main())
