"""The RTX 3060 configuration on a random model of Phi-3.5-mini's size: does it fit, how fast, what does recording cost.

    python benchmarks/rtx3060.py                  on any CUDA card with 10 GB free; 50 optimizer steps
    python benchmarks/rtx3060.py --four-bit       the same from 4-bit NF4 weights (needs bitsandbytes)
    python benchmarks/rtx3060.py --tiny           the same path in seconds on a CPU, to see that it works

Nothing is downloaded: the weights are random, which changes neither memory nor speed. Every sequence has the full
length, so the peak is that of the worst batch. A second, shorter run without recording gives what to compare with.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import msgspec
import torch
from torch.utils.data import Dataset
from transformers import AutoModelForCausalLM, Phi3Config, TrainerCallback

from kiseki import TrainingMetricsRecorder
from kiseki.history import read_history
from kiseki.run_folder import RunFolder
from so8t import SO8TPETTrainer
from so8t.training.arguments import model_load_arguments, training_arguments
from so8t.training.config import load_config
from so8t.training.config_keys import Config
from so8t.training.loading import Machine, make_trainable
from so8t.training.memory import MemoryEstimate, estimate_memory
from so8t.training.memory_advice import check_memory, size
from so8t.training.recording import Recording

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
SETTINGS = ROOT / "configs" / "train_borea_phi35_so8t_thinking_rtx3060.yaml"
LARGE: dict[str, Any] = {
    "vocab_size": 32064,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 131072,
    "original_max_position_embeddings": 4096,
    "pad_token_id": 32000,
}
TINY: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "original_max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
WARM_UP = 2
"""First steps that are not timed: kernels are loaded, the allocator fills up."""
PROFILED = 2
"""Last steps, in which synchronisations are counted; they are not timed either."""
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "aten::_local_scalar_dense")
"""What makes the host wait for the device: as the CUDA runtime calls it, and PyTorch's `.item()`."""


class RandomTokens(Dataset[dict[str, torch.Tensor]]):
    """Sequences of full length."""

    def __init__(self, count: int, length: int, vocabulary: int) -> None:
        draw = torch.Generator().manual_seed(0)
        self._ids = torch.randint(3, vocabulary - 1, (count, length), generator=draw)

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids = self._ids[index]
        return {"input_ids": ids, "labels": ids.clone(), "attention_mask": torch.ones_like(ids)}


class Spent:
    """Sums up the CPU time of calls to some methods; calls inside one another count once."""

    def __init__(self) -> None:
        self.seconds = 0.0
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

        setattr(owner, name, timed)


class StepWatch(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Times optimizer steps, and counts the synchronisations of the last ones."""

    def __init__(self, device: torch.device, steps: int) -> None:
        self._device = device
        self._first_profiled = steps - PROFILED + 1
        activities = [torch.profiler.ProfilerActivity.CPU]
        if device.type == "cuda":
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        self._profile = torch.profiler.profile(activities=activities)
        self._began = 0.0
        self.seconds: list[float] = []
        self.waits_per_step = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        step = state.global_step + 1
        if step == self._first_profiled:
            self._wait()
            self._profile.start()
        elif WARM_UP < step < self._first_profiled:
            self._wait()
            self._began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        step = state.global_step
        if WARM_UP < step < self._first_profiled:
            self._wait()
            self.seconds.append(time.perf_counter() - self._began)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._wait()
        self._profile.stop()
        counted = sum(event.count for event in self._profile.key_averages() if event.key in WAITS)
        self.waits_per_step = counted / PROFILED

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


@dataclass(frozen=True)
class Figures:
    """What a run showed.

    Attributes:
        step_seconds: median of an optimizer step.
        peak_bytes: most memory that tensors took (on a CPU: that the process had); None where nothing was recorded.
        waits_per_step: times the host waited for the device.
        recording_seconds: CPU time per step in recorder code.
    """

    step_seconds: float
    peak_bytes: int | None
    waits_per_step: float
    recording_seconds: float


def settings(options: argparse.Namespace) -> Config:
    """The shipped settings; what is changed is what a run without files and without an end needs."""
    loaded = load_config(SETTINGS, {"data.train_data": "random", "training.max_steps": options.steps}).config.to_dict()
    loaded["training"] |= {"save_strategy": "no", "save_metrics_steps": 1, "effective_batch_size": None}
    loaded["training"]["logging_steps"] = options.steps
    if options.four_bit:
        loaded["quantization"]["load_in_4bit"] = True
    if options.tiny:
        loaded["data"]["max_seq_length"] = 64
        loaded["training"]["gradient_accumulation_steps"] = 2
        loaded["so8t"]["layer_indices"] = [1, 2]
        loaded["qlora"]["r"] = 4
    return msgspec.convert(loaded, Config)


def build(config: Config, model_config: Phi3Config, machine: Machine) -> Any:
    """The model as training has it, from random weights."""
    torch.manual_seed(0)
    arguments, messages = model_load_arguments(config, cuda=machine.cuda, bf16_supported=machine.bf16)
    for message in messages:
        print(message, file=sys.stderr)
    if "quantization_config" in arguments:
        with tempfile.TemporaryDirectory() as folder:  # bitsandbytes quantises while loading
            AutoModelForCausalLM.from_config(model_config, dtype=torch.bfloat16).save_pretrained(folder)
            model = AutoModelForCausalLM.from_pretrained(folder, **arguments)
    else:
        with torch.device("cuda" if machine.cuda else "cpu"):
            model = AutoModelForCausalLM.from_config(model_config, **arguments)
    return make_trainable(model, config, lambda line: print(line, file=sys.stderr))


def train(model: Any, config: Config, machine: Machine, folder: Path, *, steps: int, record: bool) -> Figures:
    """Train for some steps and look."""
    spent = Spent()
    if record:
        for owner, name in (
            (TrainingMetricsRecorder, "record_step"),
            (TrainingMetricsRecorder, "mark"),
            (Recording, "close_step"),
            (SO8TPETTrainer, "trained_micro_batch"),
        ):
            spent.around(owner, name)
    arguments, _ = training_arguments(config, folder, has_eval=False, cuda=machine.cuda, bf16_supported=machine.bf16)
    arguments.max_steps = steps
    arguments.disable_tqdm = True
    batch = config.training.per_device_train_batch_size * config.training.gradient_accumulation_steps
    watch = StepWatch(arguments.device, steps)
    trainer = SO8TPETTrainer(
        model,
        arguments,
        train_dataset=RandomTokens(batch * 4, config.data.max_seq_length, model.config.vocab_size),
        callbacks=[watch],
        pet_regularization=msgspec.to_builtins(config.pet),
        orthogonal_reg=config.so8t.orthogonal_reg,
        save_metrics=record,
        save_metrics_steps=config.training.save_metrics_steps,
    )
    trainer.train()
    peaks: list[int] = []
    if record:
        column = read_history(RunFolder(folder)).rows.columns.get("peak_memory_bytes")
        peaks = [] if column is None else [int(value) for value in column.value]
    return Figures(
        step_seconds=statistics.median(watch.seconds),
        peak_bytes=max(peaks, default=None),
        waits_per_step=watch.waits_per_step,
        recording_seconds=spent.seconds / steps,
    )


def page(
    options: argparse.Namespace, config: Config, estimate: MemoryEstimate, recorded: Figures, plain: Figures
) -> str:
    """The figures as Markdown."""
    where = torch.cuda.get_device_name() if torch.cuda.is_available() and not options.tiny else "CPU"
    training = config.training
    tokens = config.data.max_seq_length * training.per_device_train_batch_size * training.gradient_accumulation_steps
    model = "a tiny model" if options.tiny else "Phi-3.5-mini's size (3.8 G parameters, random)"
    bits = "4-bit NF4" if config.quantization.load_in_4bit else "bfloat16"
    peak = "unknown" if recorded.peak_bytes is None else size(recorded.peak_bytes)
    lines = [
        f"# The RTX 3060 configuration, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"{model}, {bits} base, LoRA r = {config.qlora.r}, {tokens:,} tokens per optimizer step in sequences of "
        f"{config.data.max_seq_length:,}, {options.steps} steps; {where}; Python {platform.python_version()}, "
        f"PyTorch {torch.__version__}, {platform.system()}.",
        "",
        "| | recording every step | not recording |",
        "|---|---:|---:|",
        f"| optimizer step (median) | {recorded.step_seconds:.3f} s | {plain.step_seconds:.3f} s |",
        f"| tokens per second | {tokens / recorded.step_seconds:,.0f} | {tokens / plain.step_seconds:,.0f} |",
        f"| waits for the device per step | {recorded.waits_per_step:.1f} | {plain.waits_per_step:.1f} |",
        f"| CPU time in recorder code per step | {recorded.recording_seconds * 1e3:.2f} ms "
        f"({recorded.recording_seconds / recorded.step_seconds * 100:.3f} % of the step) | |",
        f"| peak memory | {peak} | |",
        f"| memory estimated before | {size(estimate.total)} | |",
        "",
        "Peak: tensors on a card, the whole process on a CPU. Waits: "
        + ", ".join(f"`{name}`" for name in WAITS)
        + f" in the last {PROFILED} steps.",
        "",
    ]
    return "\n".join(lines)


def main(words: list[str] | None = None) -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=None, help="optimizer steps (default: 50; with --tiny 6)")
    parser.add_argument("--four-bit", action="store_true", help="4-bit NF4 base weights (needs bitsandbytes)")
    parser.add_argument("--tiny", action="store_true", help="a tiny model on the CPU, to try the script")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the page (default: results/)")
    options = parser.parse_args(words)
    options.steps = options.steps or (6 if options.tiny else 50)
    if options.steps < WARM_UP + PROFILED + 1:
        parser.error(f"--steps must be at least {WARM_UP + PROFILED + 1}: some warm up, some are profiled")
    if not options.tiny and not torch.cuda.is_available():
        print(
            "benchmarks/rtx3060.py needs a CUDA card with about 10 GB free (an RTX 3060 12 GB, or larger), its driver, "
            "and PyTorch built for CUDA; for the card's own optimizer also bitsandbytes (pip install bitsandbytes). "
            "Here PyTorch sees no card. To try the script without one: --tiny",
            file=sys.stderr,
        )
        return 2
    machine = Machine.here()
    if options.tiny:
        machine = Machine(cuda=False, bf16=machine.bf16, free_bytes=machine.free_bytes)
    config = settings(options)
    model_config = Phi3Config(**(TINY if options.tiny else LARGE))
    where = {"cuda": machine.cuda, "bf16_supported": machine.bf16}
    check_memory(config, model_config, machine.free_bytes, **where, tell=lambda line: print(line, file=sys.stderr))
    model = build(config, model_config, machine)
    with tempfile.TemporaryDirectory() as scratch:
        few = min(options.steps, WARM_UP + PROFILED + 5)
        plain = train(model, config, machine, Path(scratch) / "plain", steps=few, record=False)
        recorded = train(model, config, machine, Path(scratch) / "recorded", steps=options.steps, record=True)
    text = page(options, config, estimate_memory(config, model_config, **where), recorded, plain)
    print(text)
    options.results.mkdir(parents=True, exist_ok=True)
    file = options.results / f"{datetime.now(UTC):%Y-%m-%d}-rtx3060.md"
    file.write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
