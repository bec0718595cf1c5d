"""`so8t train`: the training job."""

import logging
import os
import sys
import warnings
from pathlib import Path

import click


@click.command(short_help="Train, record, report.")
@click.option(
    "--config", "config_file", required=True, metavar="FILE", type=click.Path(path_type=Path), help="YAML settings."
)
@click.option("--model-path", metavar="DIR", help="Base model's folder; wins over model.base_model.")
@click.option("--dataset", metavar="FILE", help="Training records (JSONL); wins over data.train_data.")
@click.option("--eval-dataset", metavar="FILE", help="Held-out records (JSONL); wins over data.eval_data.")
@click.option("--output-dir", metavar="DIR", help="Run folder; wins over training.output_dir.")
@click.option(
    "--resume-from-checkpoint",
    "resume",
    default="none",
    show_default=True,
    metavar="auto|PATH|none",
    help="Go on from the newest complete checkpoint of the run folder, or from this one; none: begin a new run.",
)
@click.option(
    "--force", is_flag=True, help="Resume although settings or data are others; record and report say what differs."
)
@click.pass_context
def train(
    context: click.Context,
    config_file: Path,
    model_path: str | None,
    dataset: str | None,
    eval_dataset: str | None,
    output_dir: str | None,
    resume: str,
    force: bool,
) -> None:
    """Train a model as a YAML file says; leave a run folder with record, curves, PoC report and model.

    SIGINT (Ctrl-C) and SIGTERM end training after the current step, with a checkpoint, the record and a report in
    place; training.save_minutes bounds what a power cut costs. A new run sets an earlier one in the same folder aside;
    nothing is overwritten.

    \b
    Example:
      so8t train --config configs/demo.yaml
      so8t train --config configs/demo.yaml --resume-from-checkpoint auto
      so8t train --config configs/train_borea_phi35_so8t_thinking_rtx3060.yaml --dataset data/train.jsonl
    """
    from so8t.training.config import load_config
    from so8t.training.preflight import check_inputs

    if force and resume == "none":
        raise click.UsageError("--force is for going on with a run: give --resume-from-checkpoint auto, or a path, too")
    loaded = load_config(
        config_file,
        {
            "model.base_model": model_path,
            "data.train_data": dataset,
            "data.eval_data": eval_dataset,
            "training.output_dir": output_dir,
        },
    )
    folder = Path(str(loaded.config.training.output_dir))
    check_inputs(loaded.config, folder)  # before PyTorch is loaded, which takes seconds
    quiet_libraries()
    from rich.console import Console

    from so8t.training.job import run_training

    console = Console(file=sys.stdout, quiet=os.environ.get("RANK", "0") != "0")  # of many processes, one speaks
    for message in loaded.messages:
        console.print(message, highlight=False, markup=False, soft_wrap=True)
    result = run_training(loaded.config, output_dir=folder, resume=resume, force=force, console=console)
    context.exit(result.exit_code)


def quiet_libraries() -> None:
    """Keep the libraries' bars and advice off the console: what matters is said by this program."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a job never fetches; PEFT would ask the Hub about the base model
    warnings.filterwarnings("ignore", module=r"(torch|transformers|accelerate|peft)(\.|$)")
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("accelerate").setLevel(logging.ERROR)
