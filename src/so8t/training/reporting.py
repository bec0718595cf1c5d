"""What record and report are told beside the numbers: settings, criteria, data, and the model as it really is."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
from torch import nn
from transformers import TrainingArguments

from so8t.data.dataset import DatasetFacts
from so8t.errors import DataError
from so8t.model.architecture import base_model, live_facts
from so8t.training.config_keys import Config

_MODEL_SECTIONS = ("model", "so8t", "quantization", "qlora")
_NO_SETTINGS = ("output_dir", "logging_dir", "eval_on_start")
"""Arguments that are places, or that resuming itself changes: runs trained alike must not differ by them."""


def recorded_config(config: Config) -> dict[str, Any]:
    """The settings as they are recorded: without the place of the run folder, which may be moved between attempts."""
    settings = config.to_dict()
    settings["training"]["output_dir"] = "."
    return settings


def recorder_options(config: Config, session_id: str | None = None, *, force: bool = False) -> dict[str, Any]:
    """What the settings say about the record: name of the model, language, success criteria.

    Args:
        config: the settings.
        session_id: name of the run; the record gets one of its own when None.
        force: continue a record that was begun under another configuration.

    Returns:
        Arguments for `kiseki.TrainingMetricsRecorder`.
    """
    options: dict[str, Any] = {
        "model_name": config.pipeline.model_name,
        "config": recorded_config(config),
        "language": config.poc.language,
        "allow_config_change": force,
    }
    if session_id is not None:
        options["run_id"] = session_id
    if config.poc.criteria:
        options["criteria"] = [
            {name: value for name, value in msgspec.to_builtins(criterion).items() if value is not None}
            for criterion in config.poc.criteria
        ]
    return options


def report_inputs(
    config: Config, model: nn.Module, arguments: TrainingArguments, data: Mapping[str, DatasetFacts]
) -> dict[str, Any]:
    """What the report says beside the record.

    Args:
        config: the settings asked for.
        model: as it is trained.
        arguments: the Trainer's arguments; tokens, accounts and places are left out.
        data: name ("train", "eval") -> facts of that dataset.

    Returns:
        `model_config` and `training_config`, the effective settings, and `live`, what model, data and trainer really
        are.
    """
    settings = recorded_config(config)
    public = {
        name: value
        for name, value in arguments.to_dict().items()
        if name not in _NO_SETTINGS and not name.startswith(("hub_", "push_to_hub")) and not name.endswith("_token")
    }
    return {
        "model_config": {name: settings.pop(name) for name in _MODEL_SECTIONS},
        "training_config": {**settings, "arguments": public},
        "live": {
            **live_facts(model),
            **live_settings(model, config, arguments),
            "device": arguments.device.type,
            "ranks": arguments.world_size,
            "data": {name: asdict(facts) for name, facts in data.items()},
            **({"data_statement": data_statement(Path(statement))} if (statement := config.data.statement) else {}),
        },
    }


def data_statement(path: Path) -> dict[str, Any]:
    """What the data statement says; see `docs/guide/data-policy.md`.

    Raises:
        DataError: the file is not there or holds no JSON object.
    """
    try:
        statement = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"data.statement {path} cannot be read ({error.strerror or error}): correct or remove it"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"data.statement {path} is no JSON ({error}): make it anew or remove it") from error
    if not isinstance(statement, dict):
        raise DataError(f"data.statement {path} holds no JSON object: make it anew or remove it")
    return statement


def live_settings(model: nn.Module, config: Config, arguments: TrainingArguments) -> dict[str, Any]:
    """The effective settings under the configuration's own names: the report names those that are not as asked.

    Args:
        model: as it is trained.
        config: the settings asked for.
        arguments: the Trainer's arguments.
    """
    facts = live_facts(model)
    gates = facts["gate_layers"]
    all_as_asked = config.so8t.layer_indices is None and len(gates) == facts["n_layers"]
    settings: dict[str, Any] = {
        "so8t": {"enabled": bool(gates)},
        "training": {
            "optim": str(getattr(arguments.optim, "value", arguments.optim)),
            "fp16": arguments.fp16,
            "bf16": arguments.bf16,
            "gradient_accumulation_steps": arguments.gradient_accumulation_steps,
        },
    }
    if config.model.model_type is not None:
        settings["model"] = {"model_type": facts["model_type"]}
    if config.so8t.enabled:
        settings["so8t"]["layer_indices"] = None if all_as_asked else gates
    if config.qlora.enabled:
        settings["qlora"] = {"r": facts["lora_r"], "lora_alpha": facts["lora_alpha"]}
        asked, found = config.qlora.target_modules, list(facts["lora_modules"])
        if asked is not None:
            settings["qlora"]["target_modules"] = asked if set(asked) == set(found) else found
    return settings


def default_report_inputs(trainer: Any) -> dict[str, Any]:
    """The settings that model and Trainer have, and what is found in them; kiseki takes names and paths out."""
    model_config = base_model(trainer.model).config.to_dict()
    model_config["_name_or_path"] = Path(str(model_config.get("_name_or_path", ""))).name
    args = trainer.args
    live = {
        **live_facts(trainer.model),
        "pet_enabled": trainer.pet is not None,
        "optimizer": type(getattr(trainer.optimizer, "optimizer", trainer.optimizer)).__name__,
        "device": args.device.type,
        "ranks": trainer.accelerator.num_processes,
        "recording_failures": trainer.recording_failures,
    }
    return {"model_config": model_config, "training_config": args.to_dict(), "live": live}
