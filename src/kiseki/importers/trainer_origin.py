"""What the record of an imported run says of its source."""

from pathlib import PureWindowsPath
from typing import Any

from kiseki.importers.trainer_files import State, printable
from kiseki.record.row import exact

UNKNOWN = "unknown"

_SETTINGS = (
    "max_steps", "num_train_epochs", "train_batch_size", "logging_steps", "eval_steps", "save_steps",
    "num_input_tokens_seen", "total_flos", "best_metric", "best_global_step", "is_hyper_param_search",
)  # fmt: skip
_TOLD = frozenset(
    (*_SETTINGS, "epoch", "global_step", "best_model_checkpoint", "is_local_process_zero", "is_world_process_zero")
)
_LISTED = 20


def origin(state: State) -> dict[str, Any]:
    """What the `open` line says of the source: nothing that only its owner may see.

    Args:
        state: the file.
    """
    settings = state.settings
    best = settings.get("best_model_checkpoint")
    left_out = sorted(name for name, value in settings.items() if name not in _TOLD and value not in (None, {}, []))
    left_out = [name[:100] for name in left_out[:_LISTED] if name.isprintable()]
    return {
        "from": state.name,
        "format": "Hugging Face Trainer, trainer_state.json",
        "bytes": state.bytes,
        "sha256": state.sha256,
        "records": state.count,
        "sealed_while_training": False,
        "times": UNKNOWN,
        "loss_reduction": UNKNOWN,
        "window_steps": "from the differences of steps",
        "transformers_version": state.transformers_version or UNKNOWN,
        "settings": {
            **{name: exact(settings[name]) for name in _SETTINGS if isinstance(settings.get(name), bool | int | float)},
            # a path, of which only the folder's own name says nothing about its owner
            **({"best_model_checkpoint": printable(PureWindowsPath(best).name)} if isinstance(best, str) else {}),
        },
        **({"members_not_taken": left_out} if left_out else {}),
    }
