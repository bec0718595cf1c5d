"""What the Trainer writes into a model card, made from the record: hyperparameters and the training results table.

The rules are those of `transformers.modelcard` (`parse_log_history`, `extract_hyperparameters_from_trainer`), so that
the same run has the same table whoever made its card. The Trainer's own table is empty where every line of its log
holds `train_runtime`, as with `include_num_input_tokens_seen`; this one comes from the evaluations themselves.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from kiseki.history import History, number
from kiseki.report.sections.given import visible
from kiseki.vocabulary import RESERVED

ROWS_SHOWN = 200
"""A table of more evaluations shows so many, evenly chosen, the last among them."""

_NO_COLUMN = (
    *RESERVED,
    "total_flos",
    "epoch",
    "step",
    "eval_runtime",
    "eval_samples_per_second",
    "eval_steps_per_second",
    "train_runtime",
    "train_tokens_per_second",
)


def results_lines(history: History) -> list[dict[str, Any]]:
    """One line per evaluation: the training loss that was logged last before it, where it stands, what it measured.

    Returns:
        Values by column heading. Without any evaluation, one line per training row.
    """
    training = history.rows.columns.get("loss")
    if not history.evaluations:
        return [] if training is None else _training_lines(history)
    lines = []
    for step, row in zip(history.evaluations.steps, history.evaluations.decoded(), strict=True):
        position = 0 if training is None else bisect_right(training.step, step)
        loss = training.value[position - 1] if training is not None and position else "No log"
        line = {"Training Loss": loss, "Epoch": _value(row.get("epoch")), "Step": step}
        for name, recorded in row.items():
            if name not in _NO_COLUMN and number(recorded) is not None:
                line[_heading(name)] = _value(recorded)
        lines.append(line)
    return lines


def evenly(lines: Sequence[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """At most so many of the lines, the first and the last among them.

    Example:
        >>> [line["Step"] for line in evenly([{"Step": step} for step in range(11)], 3)]
        [0, 5, 10]
    """
    if len(lines) <= limit:
        return list(lines)
    last = len(lines) - 1
    return [lines[index * last // (limit - 1)] for index in range(limit)]


def markdown_table(lines: Sequence[Mapping[str, Any]]) -> str:
    """The lines as the Trainer sets them: columns padded to one width, numbers to four decimals.

    Columns are those of any line, in order of first appearance; the Trainer takes the first line's.

    Example:
        >>> print(markdown_table([{"Step": 20, "Validation Loss": 1.23456}, {"Step": 40}]))
        | Step | Validation Loss |
        |:----:|:---------------:|
        | 20   | 1.2346          |
        | 40   |                 |
    """
    columns = list(dict.fromkeys(column for line in lines for column in line))
    shown = [[_rounded(line[column]) if column in line else "" for column in columns] for line in lines]
    widths = [
        max(len(cell) for cell in (column, *(cells[index] for cells in shown))) for index, column in enumerate(columns)
    ]
    rows = [
        "".join(f"| {cell}{' ' * (width - len(cell) + 1)}" for cell, width in zip(cells, widths, strict=True)) + "|"
        for cells in (columns, *shown)
    ]
    rule = "".join(f"|:{'-' * width}:" for width in widths) + "|"
    return "\n".join([rows[0], rule, *rows[1:]])


def hyperparameters(arguments: Mapping[str, Any], world_size: int | None) -> dict[str, Any]:
    """The training arguments under the names that the Trainer gives them in its cards; what is not known is left out.

    Args:
        arguments: `TrainingArguments` as a dictionary, or the training block of a configuration.
        world_size: how many processes trained, None where that is not known.
    """
    get = arguments.get
    train, evaluate = _count(get("per_device_train_batch_size")), _count(get("per_device_eval_batch_size"))
    accumulation, processes = _count(get("gradient_accumulation_steps")) or 1, world_size or 1
    found: dict[str, Any] = {
        "learning_rate": get("learning_rate"),
        "train_batch_size": train,
        "eval_batch_size": evaluate,
        "seed": get("seed"),
    }
    if processes > 1:
        found |= {"distributed_type": "multi-GPU", "num_devices": processes}
    if accumulation > 1:
        found["gradient_accumulation_steps"] = accumulation
    if train and processes * accumulation > 1:
        found["total_train_batch_size"] = train * processes * accumulation
    if evaluate and processes > 1:
        found["total_eval_batch_size"] = evaluate * processes
    found["optimizer"] = _optimizer(arguments)
    found["lr_scheduler_type"] = get("lr_scheduler_type")
    found["lr_scheduler_warmup_steps"] = get("warmup_steps") or None
    found["lr_scheduler_warmup_ratio"] = get("warmup_ratio") or None
    limited = _count(get("max_steps")) is not None
    found["training_steps" if limited else "num_epochs"] = get("max_steps" if limited else "num_train_epochs")
    found["mixed_precision_training"] = "Native AMP" if get("fp16") else None
    found["label_smoothing_factor"] = get("label_smoothing_factor") or None
    return {name: value for name, value in found.items() if value is not None}


def _training_lines(history: History) -> list[dict[str, Any]]:
    loss, epoch = history.rows.columns["loss"], history.rows.columns.get("epoch")
    epochs = dict(zip(epoch.step, epoch.value, strict=True)) if epoch else {}
    return [
        {"Training Loss": value, "Epoch": epochs.get(step), "Step": step}
        for step, value in zip(loss.step, loss.value, strict=True)
    ]


def _heading(name: str) -> str:
    if name == "eval_loss":
        return "Validation Loss"
    words = name.split("_")[1:] or [name]
    return cell(" ".join(word.capitalize() for word in words))


def cell(text: str) -> str:
    r"""Text that can neither leave its table cell nor become markup.

    Example:
        >>> cell("loss|*a*\n<!-- x -->")
        'loss\\|\\*a\\*\\\\n&lt;!-- x --&gt;'
    """
    escaped = "".join(f"\\{character}" if character in "\\`*[]|" else character for character in visible(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _value(recorded: Any) -> Any:
    """Integers stay integers; non-finite values are recorded as strings."""
    return number(recorded) if isinstance(recorded, str) else recorded


def _rounded(value: Any) -> str:
    if isinstance(value, float) and len(str(value).partition(".")[2]) > 4:
        return f"{value:.4f}"
    return str(value)


def _optimizer(arguments: Mapping[str, Any]) -> str | None:
    name = arguments.get("optim")
    if not name:
        return None
    more = arguments.get("optim_args") or "No additional optimizer arguments"
    if "adam" not in str(name).lower():
        return f"Use {name} and the args are:\n{more}"
    betas = f"({arguments.get('adam_beta1')},{arguments.get('adam_beta2')})"
    return f"Use {name} with betas={betas} and epsilon={arguments.get('adam_epsilon')} and optimizer_args={more}"


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
