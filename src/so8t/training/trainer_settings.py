"""Arguments of the trainer that are changed or refused before anything is loaded."""

import copy
from pathlib import Path

from transformers import TrainingArguments

from so8t.errors import ConfigError
from so8t.training.checkpoints import CHECKPOINTS


def laid_out(args: TrainingArguments) -> tuple[Path, TrainingArguments]:
    """The run folder, and a copy of the arguments whose checkpoints go into it."""
    given = Path(args.output_dir)
    run_dir = given.parent if given.name == CHECKPOINTS else given
    args = copy.copy(args)
    args.output_dir = str(run_dir / CHECKPOINTS)
    return run_dir, args


def require_exact_losses(args: TrainingArguments, compute_loss_func: object) -> None:
    """Refuse what would make recorded numbers other than they are called.

    Raises:
        ConfigError: it says which setting, and what to do.
    """
    if args.label_smoothing_factor or compute_loss_func is not None:
        name = "compute_loss_func" if compute_loss_func is not None else "label_smoothing_factor"
        raise ConfigError(
            f"{name} makes the language-model loss no cross-entropy, and perplexity needs one: leave it out"
        )
    if args.use_liger_kernel:
        raise ConfigError("use_liger_kernel leaves out the logits, and token accuracy needs them: leave it out")
    if args.n_gpu > 1:
        raise ConfigError(
            f"{args.n_gpu} GPUs in one process (DataParallel) are not supported: start with accelerate launch, or show "
            "one GPU with CUDA_VISIBLE_DEVICES=0"
        )


def require_whole(name: str, value: object) -> None:
    """Refuse what is no whole number from 1.

    Raises:
        ConfigError: it names the setting.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{name} must be a whole number of optimizer steps or files from 1, not {value!r}")
