"""What a reader of a Trainer's log should know about it: where it hides, loses or contradicts something."""

import math
from collections.abc import Sequence

from kiseki.importers.numbers import whole
from kiseki.importers.trainer_files import State
from kiseki.importers.trainer_log import Log
from kiseki.record.line import EVAL, ROW

_LISTED = 10


def findings(state: State, log: Log) -> list[str]:
    """Sentences about one log, the weightiest first.

    Args:
        state: the file.
        log: its records, understood.
    """
    found = [
        f"imported from {state.name}: no seal was made while training ran, and when each row was logged is not known",
        _cut_short(state),
        _hidden_non_finite(log),
        _not_taken(log),
        _refused(log),
        _logged_twice(log),
        _last_window(state, log),
        _how_it_ended(state, log),
    ]
    return [sentence for sentence in found if sentence]


def status(state: State, log: Log) -> str:
    """`completed` where `train()` returned or every planned step was taken; otherwise nobody knows: `unknown`."""
    planned = whole(state.settings.get("max_steps"))
    returned = any("train_runtime" in fields or "train_loss" in fields for _, fields in log.summaries)
    return "completed" if returned or (planned and state.last_step >= planned) else "unknown"


def _cut_short(state: State) -> str:
    if state.unread is None:
        return ""
    return (
        f"{state.name} is damaged: reading stopped at byte {state.unread.byte} of {state.bytes} ({state.unread.why}); "
        f"records read before it: {state.count}; what came after is lost"
    )


def _hidden_non_finite(log: Log) -> str:
    steps = sorted({line.step for line in log.lines if line.kind == ROW and _hides(line.fields)})
    if not steps:
        return ""
    return (
        f"loss is 0.0 while grad_norm is not finite, at {_steps(steps)}: the Trainer's "
        f"logging_nan_inf_filter puts 0 in the place of a loss that is not finite"
    )


def _hides(fields: dict[str, float | int | str]) -> bool:
    norm = fields.get("grad_norm")
    return fields.get("loss") == 0 and isinstance(norm, float) and not math.isfinite(norm)


def _not_taken(log: Log) -> str:
    reasons = ", ".join(f"{count} ({why})" for why, count in log.not_taken.items())
    return f"records that were not taken: {reasons}" if reasons else ""


def _refused(log: Log) -> str:
    if not log.refusals:
        return ""
    names = [f"{name[:80]!a}" for name in log.refusals][:_LISTED]
    more = f" and {len(log.refusals) - _LISTED} more" if len(log.refusals) > _LISTED else ""
    total = sum(refusal.count for refusal in log.refusals.values())
    return f"values not taken, as they are no numbers or have no possible name: {total}, of {', '.join(names)}{more}"


def _logged_twice(log: Log) -> str:
    told = []
    for kind, what in ((ROW, "training rows"), (EVAL, "evaluations")):
        seen: set[int] = set()
        twice: set[int] = set()
        for line in log.lines:
            if line.kind == kind:
                (twice if line.step in seen else seen).add(line.step)
        if twice:
            told.append(f"{what} were logged again with other values, at {_steps(sorted(twice))}")
    return f"{'; '.join(told)}; the later ones count" if told else ""


def _last_window(state: State, log: Log) -> str:
    last = max((line.step for line in log.lines if line.kind == ROW and "loss" in line.fields), default=0)
    if last >= state.last_step:
        return ""
    return (
        f"no training row covers steps {last + 1} to {state.last_step}: the Trainer does not log a window "
        f"that is not full yet"
    )


def _how_it_ended(state: State, log: Log) -> str:
    if status(state, log) != "unknown":
        return ""
    planned = whole(state.settings.get("max_steps"))
    of = f" of {planned}" if planned else ""
    return f"how training ended is not known: the source stands at step {state.last_step}{of}"


def _steps(steps: Sequence[int]) -> str:
    """How many steps, and the first of them."""
    more = f" and {len(steps) - _LISTED} more" if len(steps) > _LISTED else ""
    count = "1 step" if len(steps) == 1 else f"{len(steps)} steps"
    return f"{count} ({', '.join(map(str, steps[:_LISTED]))}{more})"
