"""What is known about a baked folder, for programs (`so8t_bake.json`) and for people (the model card)."""

import json
from typing import Any, Literal

import msgspec

from so8t.model.heads import HEADS_FILE

BAKE_FILE = "so8t_bake.json"
"""Beside the weights: what was baked, as JSON."""

Dtype = Literal["float32", "bfloat16", "float16"]


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """How a baked folder was compared with the trained model, on random tokens, everything computed in float32.

    Attributes:
        max_abs_difference: largest difference of a logit between the folder, loaded again, and the gated model; with
            16-bit weights that is mostly their rounding.
        merge_difference: the same before rounding to the stored precision.
        reload_difference: between the folder, loaded again, and what was to be written.
        allowed: what the last two may be.
        max_abs_logit: magnitude of the largest logit.
        sequences: random sequences compared.
        tokens: tokens in each.
    """

    max_abs_difference: float
    merge_difference: float
    reload_difference: float
    allowed: float
    max_abs_logit: float
    sequences: int
    tokens: int

    @property
    def passed(self) -> bool:
        """Whether both differences are allowed; NaN is not."""
        return self.merge_difference <= self.allowed and self.reload_difference <= self.allowed


class LoraFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The LoRA that was merged.

    Attributes:
        r: rank.
        alpha: numerator of the scale alpha / r.
        targets: names of the layers.
        modules: number of layers.
    """

    r: Any
    alpha: Any
    targets: list[str]
    modules: int


class BakeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was baked: the content of `so8t_bake.json`.

    Attributes:
        so8t_version: version of this program.
        run_id: the training run, None where it is not known.
        checkpoint: name of the folder that was baked.
        base_model: name of the base model.
        architecture: class of the model in transformers.
        dtype: precision of the stored weights.
        dequantised_from: "4-bit" or "8-bit", None for a base in ordinary precision.
        lora: None without LoRA.
        gate_layers: decoder layers, counted from 0, whose gate is now part of `o_proj`.
        gate_parameterization: exp or cayley; None without gates.
        max_orthogonality_error: largest entry of |R^T R - I| over all gates; None without gates.
        mean_rotation_angle: mean eigen-angle in radians; None without gates.
        verification: None where it was skipped.
        base_weights: weight file of the base -> SHA-256.
        files: weight file -> SHA-256.
    """

    so8t_version: str
    run_id: str | None
    checkpoint: str
    base_model: str
    architecture: str
    dtype: Dtype
    dequantised_from: str | None
    lora: LoraFacts | None
    gate_layers: list[int]
    gate_parameterization: str | None
    max_orthogonality_error: float | None
    mean_rotation_angle: float | None
    verification: Verification | None = None
    base_weights: dict[str, str] = {}
    files: dict[str, str] = {}


def model_card(facts: BakeFacts) -> str:
    """The README.md of a baked folder: what it is, what was baked into it, how it was checked.

    Args:
        facts: what was baked.

    Returns:
        Markdown with the header that model hubs read.
    """
    lora = facts.lora
    rows = [
        ("base model", facts.base_model),
        ("architecture", f"{facts.architecture}, as transformers has it: no code of so8t is needed"),
        (
            "LoRA",
            "none"
            if lora is None
            else f"r {lora.r}, alpha {lora.alpha}, on {', '.join(lora.targets)} ({lora.modules} modules), merged",
        ),
        ("SO(8) gates", _gates_in_words(facts)),
        ("safety heads", "copied, for so8t serve" if HEADS_FILE in facts.files else "none"),
        ("dequantised from", facts.dequantised_from or "not quantised"),
        ("dtype of the weights", facts.dtype),
        ("training run", f"{facts.run_id or 'unknown'}, {facts.checkpoint}"),
        ("made by", f"so8t {facts.so8t_version}"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"""---
base_model: {json.dumps(facts.base_model, ensure_ascii=False)}
library_name: transformers
pipeline_tag: text-generation
tags:
- so8t
---

# {facts.base_model}, trained with so8t and baked

What training added is part of the ordinary weights:

| | |
|---|---|
{table}

{_verification_in_words(facts)}

The terms of use are those of the base model and of the training data. `{BAKE_FILE}` says the same for programs, with
the SHA-256 of every weight file.
"""


def _gates_in_words(facts: BakeFacts) -> str:
    if not facts.gate_layers:
        return "none"
    return (
        f"layers {', '.join(map(str, facts.gate_layers))} ({facts.gate_parameterization}); o_proj is now R W; "
        f"max abs(R^T R - I) = {facts.max_orthogonality_error:.2g}, "
        f"mean rotation angle {facts.mean_rotation_angle:.3g} rad"
    )


def _verification_in_words(facts: BakeFacts) -> str:
    found = facts.verification
    if found is None:
        return "The logits were not compared with the trained model's (--no-verify)."
    rounding = "" if facts.dtype == "float32" else f", nearly all of it from rounding to {facts.dtype}"
    return (
        f"Loaded again and computed in float32, its logits on {found.sequences} x {found.tokens} random tokens differ "
        f"from the trained model's by at most {found.max_abs_difference:.2g}{rounding} (largest logit "
        f"{found.max_abs_logit:.3g}; before rounding {found.merge_difference:.2g}, allowed {found.allowed:.2g})."
    )
