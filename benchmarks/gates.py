"""What a gate costs: a decoder layer of Phi-3.5-mini's size with an SO(8) gate beside the same layer without one.

    python benchmarks/gates.py

Forward and backward pass of 1,024 tokens as in training: frozen base, LoRA on all four linear layers, bfloat16 on a GPU
and float32 on the CPU. Gated and plain layer take turns, so that a busy machine meets both alike. The two halves of the
gate's work, making the rotations and applying them, are timed apart as well, each with its backward pass.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM, Phi3Config

from so8t.model.architecture import decoder_layers, lora_target_modules
from so8t.model.attach import attach_gates, mark_gates_trainable
from so8t.model.rotation import SO8Gate

RESULTS = Path(__file__).parent / "results"
TARGET = 1.03


def layer(device: torch.device, *, hidden: int, gated: bool, parameterization: str) -> tuple[Any, Any]:
    """A decoder layer with LoRA as it is trained, and the model that holds it."""
    config = Phi3Config(
        vocab_size=64,
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3,
        num_hidden_layers=1,
        num_attention_heads=hidden // 96,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa").to(device)
    if gated:
        attach_gates(model, init="normal", parameterization=parameterization)
    model.requires_grad_(False)
    targets = list(lora_target_modules("phi3"))
    model = get_peft_model(model, LoraConfig(r=32, lora_alpha=64, lora_dropout=0.05, target_modules=targets))
    mark_gates_trainable(model)
    return decoder_layers(model.train())[0], model


def layer_pass(device: torch.device, tokens: int, **which: Any) -> Callable[[], None]:
    """A function that runs the layer forward and backward."""
    decoder_layer, model = layer(device, **which)
    hidden = which["hidden"]
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    x = torch.randn(1, tokens, hidden, device=device, dtype=dtype, requires_grad=True)
    positions = torch.arange(tokens, device=device)[None]
    embeddings = model.get_base_model().model.rotary_emb(x, positions)

    def run() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            y = decoder_layer(x, position_embeddings=embeddings, position_ids=positions)
        y.float().square().mean().backward()
        for parameter in (*decoder_layer.parameters(), x):
            parameter.grad = None

    return run


def gate_passes(device: torch.device, tokens: int, hidden: int, parameterization: Any) -> dict[str, Callable[[], None]]:
    """Making the rotations alone, and applying them alone."""
    gate = SO8Gate(hidden, init="normal", parameterization=parameterization, device=device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    x = torch.randn(1, tokens, hidden, device=device, dtype=dtype, requires_grad=True)
    rotation = gate.rotation().detach().requires_grad_()

    def make() -> None:
        gate.rotation().square().sum().backward()
        gate.theta.grad = None

    class Given(SO8Gate):
        def rotation(self) -> Tensor:
            return rotation

    given = Given(hidden, device=device)

    def apply() -> None:
        given(x).backward(x.detach())
        x.grad = rotation.grad = None

    return {"making": make, "applying": apply}


Times = dict[str, list[tuple[float, float]]]
"""Name -> wall and CPU seconds of every round."""


def interleaved(runs: dict[str, Callable[[], None]], repeats: int, device: torch.device) -> Times:
    """Wall and CPU seconds of each run, taken in turn, after two rounds that are not counted."""
    seconds: Times = {name: [] for name in runs}
    for repeat in range(-2, repeats):
        for name, run in runs.items():
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            began, cpu = time.perf_counter(), time.process_time()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if repeat >= 0:
                seconds[name].append((time.perf_counter() - began, time.process_time() - cpu))
        print(f"round {repeat + 1} of {repeats}", file=sys.stderr, flush=True)
    return seconds


def ratios(seconds: Times, which: int) -> list[float]:
    """Gated over plain of every round, sorted; by wall (0) or CPU time (1)."""
    return sorted(g[which] / p[which] for g, p in zip(seconds["gated"], seconds["plain"], strict=True))


def page(seconds: Times, parts: Times, settings: argparse.Namespace) -> str:
    """The figures as Markdown."""
    device = torch.device(settings.device)
    on_card = device.type == "cuda"
    where = torch.cuda.get_device_name(device) if on_card else f"CPU, {torch.get_num_threads()} threads"
    medians = {
        name: [statistics.median(pair[which] for pair in pairs) * 1e3 for which in (0, 1)]
        for name, pairs in {**seconds, **parts}.items()
    }
    titles = {
        "plain": "layer without gate",
        "gated": "layer with gate",
        "making": "of a gate: making the rotations",
        "applying": "of a gate: applying them",
    }
    wall, cpu = ratios(seconds, 0), ratios(seconds, 1)
    quarter = len(wall) // 4
    judged, by = (wall, "wall") if on_card else (cpu, "CPU")
    ratio = statistics.median(judged)
    lines = [
        f"# Cost of a gate, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"One decoder layer, hidden {settings.hidden}, {settings.tokens:,} tokens, forward and backward, frozen base "
        f"with LoRA r = 32, {'bfloat16' if on_card else 'float32'}, `{settings.parameterization}`; {where}; "
        f"Python {platform.python_version()}, PyTorch {torch.__version__}, {platform.system()}.",
        f"Medians of {settings.repeats} rounds in which plain and gated layer took turns; load at the end {_load()}.",
        "",
        "| | ms | CPU ms | CPU, of the plain layer |",
        "|---|---:|---:|---:|",
        *(
            f"| {titles[name]} | {median[0]:.2f} | {median[1]:.2f} | {median[1] / medians['plain'][1]:.4f} |"
            for name, median in medians.items()
        ),
        "",
        f"Gated ÷ plain, median of the rounds' own ratios (and their middle half): wall {statistics.median(wall):.4f} "
        f"({wall[quarter]:.4f} to {wall[-1 - quarter]:.4f}), CPU {statistics.median(cpu):.4f} ({cpu[quarter]:.4f} to "
        f"{cpu[-1 - quarter]:.4f}).",
        f"The target is at most {TARGET}; by {by} time: {'met' if ratio <= TARGET else '**missed**'}.",
        "",
    ]
    return "\n".join(lines)


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else "unknown"


def main() -> None:
    """Measure, print, keep."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options.add_argument("--hidden", type=int, default=3072)
    options.add_argument("--tokens", type=int, default=1024)
    options.add_argument("--repeats", type=int, default=15)
    options.add_argument("--threads", type=int, default=2, help="of the CPU (default: 2)")
    options.add_argument("--parameterization", choices=("exp", "cayley"), default="exp")
    options.add_argument("--results", type=Path, default=RESULTS, help="folder of the page (default: results/)")
    settings = options.parse_args()
    torch.set_num_threads(settings.threads)
    device = torch.device(settings.device)
    which = {"hidden": settings.hidden, "parameterization": settings.parameterization}
    layers = {
        "plain": layer_pass(device, settings.tokens, gated=False, **which),
        "gated": layer_pass(device, settings.tokens, gated=True, **which),
    }
    seconds = interleaved(layers, settings.repeats, device)
    passes = gate_passes(device, settings.tokens, settings.hidden, settings.parameterization)
    text = page(seconds, interleaved(passes, settings.repeats, device), settings)
    print(text)
    settings.results.mkdir(parents=True, exist_ok=True)
    file = settings.results / f"{datetime.now(UTC):%Y-%m-%d}-gates.md"
    file.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
