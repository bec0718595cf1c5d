"""Bakes a checkpoint into a folder that `AutoModelForCausalLM` loads like any other.

The folder appears whole or not at all, and only after it has shown that it computes what the trained model computes.
"""

import contextlib
import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
import torch
from msgspec import structs
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from kiseki.filesystem import sync_file, sync_folder
from so8t.errors import ModelError, So8tError
from so8t.model.architecture import decoder_layers, find_gates, live_facts
from so8t.model.bake import OnStage, bake, no_stage
from so8t.model.bake_facts import BAKE_FILE, BakeFacts, Dtype, LoraFacts, Verification, model_card
from so8t.model.bake_source import LOADING_ERRORS, Source, first_line, load_gated
from so8t.model.heads import HEADS_FILE
from so8t.model.rotation_statistics import rotation_statistics
from so8t.model.weight_files import digest_weights

TOLERANCE = 1e-5
"""How far a logit may differ, in units of the largest logit's magnitude or 1, whichever is larger..."""

ROUNDING_FACTOR = 8.0
"""...or this many times as far as it moves when layer outputs move in their last bit: float32 sees no finer."""

_SEQUENCES, _TOKENS, _SEED = 2, 32, 8


class BakeRefused(So8tError):
    """The baked model does not compute what the trained one computes; nothing of it is left."""

    exit_code = 1


def bake_folder(
    source: Source,
    out: Path,
    *,
    dtype: Dtype = "float32",
    verify: bool = True,
    tell: Callable[[str], None] = lambda line: None,
    on_stage: OnStage = no_stage,
) -> BakeFacts:
    """Bake a checkpoint into a new folder of stock weights, on the CPU.

    One copy of the model in float32 is in memory at any time, also for the comparison.

    Args:
        source: what to bake.
        out: the new folder; must not exist.
        dtype: precision of the stored weights.
        verify: load the folder again and compare its logits with the gated model's.
        tell: given one line for each thing worth knowing.
        on_stage: told how far it is.

    Returns:
        What was baked.

    Raises:
        ModelError: a folder is missing or damaged, or its parts do not fit together.
        So8tError: the new folder exists or cannot be written.
        BakeRefused: the baked model computes something else than the trained one.
    """
    if dtype not in get_args(Dtype):
        raise ModelError(f"dtype is one of {', '.join(get_args(Dtype))}, not {dtype!r}")
    with _appearing_whole(out) as folder:
        on_stage("loading the trained model", 0, None)
        model, dequantised = load_gated(source, tell)
        facts = _facts(source, model, dtype, dequantised)
        logits = _merge_and_write(model, source, folder, dtype, verify, on_stage)
        del model  # before it is loaded again
        if logits is not None:
            on_stage("comparing", 0, None)
            verification = _verify(folder, logits)
            _require_passed(verification, out)
            facts = structs.replace(facts, verification=verification)
        facts = structs.replace(
            facts,
            base_weights=_sha256_of_weights(source.base, "hashing the base model", on_stage),
            files=_sha256_of_weights(folder, "hashing the new weights", on_stage),
        )
        (folder / BAKE_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n")
        (folder / "README.md").write_text(model_card(facts), encoding="utf-8", newline="\n")
    return facts


class _Logits(NamedTuple):
    """What a model computes for the random tokens, in float32.

    Attributes:
        tokens: the tokens.
        gated: with gates and LoRA, as it was trained.
        merged: after merging.
        written: after rounding to the stored precision.
        rounding: how far the gated model's logits move when its layers' outputs move in their last bit.
    """

    tokens: Tensor
    gated: Tensor
    merged: Tensor
    written: Tensor
    rounding: float


def _merge_and_write(
    model: nn.Module, source: Source, folder: Path, dtype: Dtype, verify: bool, on_stage: OnStage
) -> _Logits | None:
    """Merge and save; give what the comparison needs, None where it is not wanted."""
    tokens = _random_tokens(model)
    if verify:
        on_stage("computing the trained model's logits", 0, None)
    gated = _logits(model, tokens) if verify else None
    rounding = 0.0 if gated is None else _rounding(model, tokens, gated)
    merged_model = bake(model, on_stage)
    merged = _logits(merged_model, tokens) if verify else None
    on_stage("writing", 0, None)
    _round_parameters(merged_model, getattr(torch, dtype))
    _save(merged_model, source, folder)
    if gated is None or merged is None:
        return None
    written = merged if dtype == "float32" else _logits(merged_model.float(), tokens)
    return _Logits(tokens, gated, merged, written, rounding)


def _facts(source: Source, model: nn.Module, dtype: Dtype, dequantised: str | None) -> BakeFacts:
    """What is known before anything is merged."""
    live = live_facts(model)
    modules = live["lora_modules"]
    lora = LoraFacts(r=live["lora_r"], alpha=live["lora_alpha"], targets=list(modules), modules=sum(modules.values()))
    gates = find_gates(model)
    statistics = rotation_statistics(gates.values()) if gates else None
    return BakeFacts(
        so8t_version=importlib.metadata.version("kiseki"),
        run_id=source.run_id,
        checkpoint=source.checkpoint.name,
        base_model=source.base_name,
        architecture=live["architecture"],
        dtype=dtype,
        dequantised_from=dequantised,
        lora=lora if modules else None,
        gate_layers=live["gate_layers"],
        gate_parameterization=live["gate_parameterization"],
        max_orthogonality_error=statistics.max_orthogonality_error if statistics else None,
        mean_rotation_angle=statistics.mean_rotation_angle if statistics else None,
    )


def _random_tokens(model: Any) -> Tensor:
    generator = torch.Generator().manual_seed(_SEED)
    return torch.randint(model.config.vocab_size, (_SEQUENCES, _TOKENS), generator=generator)


@torch.no_grad()
def _logits(model: Any, tokens: Tensor) -> Tensor:
    logits: Tensor = model(input_ids=tokens, use_cache=False).logits
    return logits


def _rounding(model: nn.Module, tokens: Tensor, expected: Tensor) -> float:
    """How far the logits move when what every attention and MLP puts out moves up or down in its last bit.

    Two float32 computations of one function differ by a few times as much. It depends on the model: 7e-7 of the largest
    logit for four layers, 5e-6 for 32 layers that amplify (measured), so no fixed bound fits all.
    """
    generator = torch.Generator().manual_seed(_SEED)

    def move(module: nn.Module, arguments: Any, output: Any) -> Any:
        states = output[0] if isinstance(output, tuple) else output
        direction = torch.randint(0, 2, states.shape, generator=generator) * 2 - 1
        moved = states * (1 + direction * torch.finfo(torch.float32).eps)
        return (moved, *output[1:]) if isinstance(output, tuple) else moved

    modules = [layer.get_submodule(name) for layer in decoder_layers(model) for name in ("self_attn", "mlp")]
    handles = [module.register_forward_hook(move) for module in modules]
    try:
        return _difference(_logits(model, tokens), expected)
    finally:
        for handle in handles:
            handle.remove()


def _round_parameters(model: nn.Module, dtype: torch.dtype) -> None:
    """Round the weights alone: buffers, like the frequencies of rotary embeddings, stay as a loaded model has them."""
    for name, parameter in model.named_parameters():
        parameter.data = parameter.data.to(dtype)
        if not parameter.isfinite().all():
            raise ModelError(f"{name} does not fit into {dtype}: bake with --dtype bfloat16 or float32")


def _save(model: Any, source: Source, folder: Path) -> None:
    if source.base == source.checkpoint:
        model.config.use_cache = True  # training had switched it off and saved that
    if hasattr(model.config, "auto_map"):
        del model.config.auto_map  # points to code files that a stock model does not need
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(source.checkpoint), local_files_only=True)
    except LOADING_ERRORS as error:
        raise ModelError(
            f"{source.checkpoint} holds no tokenizer that can be loaded ({first_line(error)}): "
            "copy tokenizer.json and tokenizer_config.json of the base model into it"
        ) from error
    try:
        model.save_pretrained(str(folder))
        tokenizer.save_pretrained(str(folder))
        if (source.checkpoint / HEADS_FILE).is_file():  # read the same hidden states from the merged weights
            shutil.copyfile(source.checkpoint / HEADS_FILE, folder / HEADS_FILE)
    except ValueError as error:  # settings of the base that transformers does not write again
        raise ModelError(f"{source.base} cannot be saved ({first_line(error)}): mend its configuration") from error


def _verify(folder: Path, logits: _Logits) -> Verification:
    model, report = AutoModelForCausalLM.from_pretrained(
        str(folder), dtype=torch.float32, local_files_only=True, output_loading_info=True
    )
    odd = sorted({*report["missing_keys"], *report["unexpected_keys"]})
    if odd:
        raise BakeRefused(f"the baked weights are not those of a stock model ({odd[0]}); nothing was kept")
    stored = _logits(model.eval(), logits.tokens)
    largest = logits.gated.abs().max().item()
    return Verification(
        max_abs_difference=_difference(stored, logits.gated),
        merge_difference=_difference(logits.merged, logits.gated),
        reload_difference=_difference(stored, logits.written),
        allowed=max(TOLERANCE * max(1.0, largest), ROUNDING_FACTOR * logits.rounding),
        max_abs_logit=largest,
        sequences=_SEQUENCES,
        tokens=_TOKENS,
    )


def _difference(a: Tensor, b: Tensor) -> float:
    return (a - b).abs().max().item()


def _require_passed(verification: Verification, out: Path) -> None:
    if not verification.passed:
        worst = max(verification.merge_difference, verification.reload_difference)
        raise BakeRefused(
            f"the baked model's logits differ from the trained model's by {worst:.3g}, and {verification.allowed:.3g} "
            f"is allowed: {out} was not made; bake another checkpoint (--checkpoint), and report this with the run"
        )


def _sha256_of_weights(folder: Path, stage: str, on_stage: OnStage) -> dict[str, str]:
    digests = digest_weights(folder, lambda done, total: on_stage(stage, done, total))
    return {name: file.sha256 for name, file in digests.items()}


@contextlib.contextmanager
def _appearing_whole(out: Path) -> Iterator[Path]:
    """Give a folder beside `out` that becomes `out` on success; on failure neither it nor a new parent is left."""
    if os.path.lexists(out):
        raise So8tError(f"{out} exists: choose another folder with --out, or remove it first")
    new_parents = [parent for parent in out.parents if not parent.exists()]
    scratch: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        folder = scratch / out.name  # not `scratch` itself, which only its owner may read
        folder.mkdir()
        yield folder
        for file in folder.iterdir():
            sync_file(file)
        sync_folder(folder)
        folder.rename(out)
        sync_folder(out.parent)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise So8tError(
            f"{out} cannot be written ({reason}): check permissions and free disk, or choose another folder with --out"
        ) from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        if not out.exists():
            for parent in new_parents:
                with contextlib.suppress(OSError):
                    parent.rmdir()
