"""Brings everything into memory that a training run needs, before anything of it is written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from so8t.data.chat import ChatEncoder
from so8t.data.dataset import ThinkingDataset
from so8t.model.weight_files import WeightFile
from so8t.training.arguments import training_arguments
from so8t.training.checkpoints import Origin, new_session_id, read_origin
from so8t.training.config_keys import Config
from so8t.training.console_texts import text
from so8t.training.forced import require_steps_left
from so8t.training.loading import Machine, Tell, check_fits, checkpoint_bytes, load_model, load_tokenizer
from so8t.training.preflight import LEAST_FREE_BYTES, check_output_folder
from so8t.training.recovery import check_same_origin
from so8t.training.reporting import data_statement, recorded_config
from so8t.training.session import SESSION_FILE, read_session
from so8t.training.weights import base_weights


@dataclass(frozen=True)
class Prepared:
    """Everything that training needs, checked and in memory; nothing is written yet.

    Attributes:
        config: the settings.
        run_dir: the run folder.
        model: with gates and LoRA on it.
        tokenizer: the model's.
        data: "train" and, where there is one, "eval".
        arguments: the Trainer's.
        base: digests of the base model's weight files.
        origin: what the run's checkpoints come from.
        checkpoint: where training goes on from; None for a new run.
        overridden: in what this run differs from the one that the checkpoint is of, a phrase each; it goes on all the
            same.
    """

    config: Config
    run_dir: Path
    model: Any
    tokenizer: Any
    data: dict[str, ThinkingDataset]
    arguments: TrainingArguments
    base: dict[str, WeightFile]
    origin: Origin
    checkpoint: Path | None
    overridden: tuple[str, ...] = ()


def prepare(
    config: Config, run_dir: Path, train_file: Path, checkpoint: Path | None, tell: Tell, *, force: bool = False
) -> Prepared:
    """Load everything, and check what only loading shows.

    Args:
        config: the settings.
        run_dir: the run folder; nothing is written.
        train_file: the training records.
        checkpoint: where training is to go on from; None for a new run.
        tell: given one line for each thing worth knowing.
        force: go on from a checkpoint that other settings or other data led to.

    Raises:
        So8tError: model, data, checkpoint or free disk are not what they must be.
    """
    machine = Machine.here()
    check_fits(config, machine, tell)
    if config.data.statement is not None:
        data_statement(Path(config.data.statement))  # what is wrong with it is known before training
    tokenizer = load_tokenizer(Path(str(config.model.base_model)))
    data = _datasets(config, train_file, tokenizer, tell)
    base = base_weights(Path(str(config.model.base_model)), tell, config.poc.language)
    origin = Origin(
        session_id=_session_id(run_dir, checkpoint),
        config=recorded_config(config),
        data={name: dataset.facts.sha256 for name, dataset in data.items()},
        base={name: file.sha256 for name, file in base.items()},
    )
    overridden = tuple(check_same_origin(checkpoint, origin, force=force)) if checkpoint is not None else ()
    model = load_model(config, machine, tell)
    arguments, messages = training_arguments(
        config, run_dir, has_eval="eval" in data, cuda=machine.cuda, bf16_supported=machine.bf16
    )
    for message in messages:
        tell(message)
    if overridden and checkpoint is not None:
        require_steps_left(checkpoint, arguments, len(data["train"]))
    arguments.disable_tqdm = True  # progress is shown by ours
    # A curve of held-out loss begins before the first step.
    arguments.eval_on_start = arguments.eval_strategy != "no" and checkpoint is None
    kept = (config.training.save_total_limit or 2) + 1
    check_output_folder(run_dir, LEAST_FREE_BYTES + kept * checkpoint_bytes(model))
    return Prepared(config, run_dir, model, tokenizer, data, arguments, base, origin, checkpoint, overridden)


def _datasets(config: Config, train_file: Path, tokenizer: Any, tell: Tell) -> dict[str, ThinkingDataset]:
    difference = ChatEncoder(tokenizer).difference_from_template()
    if difference is not None:
        tell(difference)
    settings, language = config.data, config.poc.language
    data = {
        "train": ThinkingDataset(
            train_file,
            tokenizer,
            max_seq_length=settings.max_seq_length,
            sample_ratio=1.0 if settings.sample_ratio is None else settings.sample_ratio,
            seed=config.training.seed,
        )
    }
    if settings.eval_data is not None:
        data["eval"] = ThinkingDataset(Path(settings.eval_data), tokenizer, max_seq_length=settings.max_seq_length)
    for name, dataset in data.items():
        facts = dataset.facts
        said = text(f"{name}_data", language, kept=facts.kept, records=facts.records, tokens=f"{facts.tokens:,}")
        dropped = text("too_long", language, n=dataset.n_dropped_too_long) if dataset.n_dropped_too_long else ""
        tell(said + dropped)
    return data


def _session_id(run_dir: Path, checkpoint: Path | None) -> str:
    """The name of the run that a checkpoint belongs to, or a new one."""
    origin = read_origin(checkpoint) if checkpoint else None
    session = read_session(run_dir / SESSION_FILE) if checkpoint else None
    known = origin or session
    return known.session_id if known else new_session_id()
