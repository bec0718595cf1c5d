"""Loads what is served: the model, its tokenizer, and the safety heads that were trained on it."""

from __future__ import annotations

import functools
import hashlib
import logging
import threading
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from so8t.data.chat import ChatEncoder
from so8t.data.safety.heads import HeadsJudge
from so8t.errors import ModelError
from so8t.model.architecture import architecture_of, base_model
from so8t.model.bake import bake
from so8t.model.bake_source import LOADING_ERRORS, Source, first_line, load_gated
from so8t.model.heads import load_heads

__all__ = ["load_heads_judge", "load_model", "load_tokenizer", "one_at_a_time", "serving_device"]

_LOGGER = logging.getLogger("so8t.serve")


def serving_device(*, force_cpu: bool) -> torch.device:
    """Give the GPU where there is one and it may be used, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() and not force_cpu else "cpu")


def load_model(source: Source, device: torch.device) -> Any:
    """Load what is served: a trained checkpoint with LoRA and gates, or whole weights as `so8t bake` leaves them.

    LoRA and gates are merged in memory, so that a token costs what it costs a stock model. Merging is done in float32
    on the CPU (about 4 bytes per parameter); a baked folder is loaded in its own precision.

    Args:
        source: where it stands.
        device: where it is to run; on CUDA merged weights become bfloat16 where that is supported, else float16.

    Returns:
        The model in evaluation mode.

    Raises:
        ModelError: the folder is not what it must be.
    """
    if source.checkpoint == source.base and not source.has_gates:
        return one_at_a_time(_load_whole(source.base).to(device).eval())
    gated, _ = load_gated(source, lambda line: _LOGGER.info("%s", line))
    model = bake(gated)
    if device.type == "cuda":
        model.to(torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16)
    return one_at_a_time(model.to(device).eval())


def one_at_a_time(model: Any) -> Any:
    """Let several threads call a model's decoder: a call waits until the one before it has ended.

    Generation and heads share it. Rotary embeddings that depend on the length (Phi-3.5's LongRoPE) keep the frequencies
    of the call in the module, so that two calls at once would compute with each other's. On a GPU the order of the
    calls is the order of what they launched.

    Args:
        model: a causal language model; changed in place.

    Returns:
        The same model.
    """
    decoder = base_model(model).base_model
    forward, turn = decoder.forward, threading.Lock()

    @functools.wraps(forward)
    def in_turn(*arguments: Any, **named: Any) -> Any:
        with turn:
            return forward(*arguments, **named)

    decoder.forward = in_turn
    return model


def load_heads_judge(file: Path, model: Any, tokenizer: Any) -> HeadsJudge:
    """Load safety heads as a judge.

    Args:
        file: the heads.
        model: the model they were trained on, as `load_model` gives it.
        tokenizer: of the model.

    Raises:
        ModelError: the file is damaged, or its heads are not of this model.
    """
    heads = load_heads(file)
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return HeadsJudge(model, ChatEncoder(tokenizer), heads, name=f"heads {digest}")


def load_tokenizer(*folders: Path) -> Any:
    """Load the tokenizer of the first folder that has one.

    Raises:
        ModelError: none has.
    """
    for folder in folders:
        if (folder / "tokenizer.json").is_file():
            try:
                return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
            except LOADING_ERRORS as error:
                raise ModelError(f"the tokenizer in {folder} cannot be loaded ({first_line(error)})") from error
    raise ModelError(f"{folders[0]} holds no tokenizer.json: copy the model's tokenizer into it")


def _load_whole(folder: Path) -> Any:
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype="auto", local_files_only=True, output_loading_info=True
        )
    except LOADING_ERRORS as error:
        raise ModelError(
            f"{folder} cannot be loaded as a language model ({first_line(error)}): name a folder that so8t train or "
            "so8t bake wrote with --model"
        ) from error
    architecture_of(model)
    if report["missing_keys"]:
        raise ModelError(f"{folder} lacks weights ({sorted(report['missing_keys'])[0]}), which would be random")
    return model
