"""Makes a run of what a Hugging Face Trainer left: `trainer_state.json`, of one checkpoint or of many.

What the source does not say stays unknown: when rows were logged, how long training took, on what machine, whether
`loss` is a mean over tokens or over batches. The record says that it was imported, from what, with the digest of every
file, and that nothing sealed this history while it was made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Any

from kiseki.history import History
from kiseki.importers.branches import Branching, arrange, parting_step
from kiseki.importers.json_stream import SourceError
from kiseki.importers.trainer_files import State, find_states, read_states, step_of_record, whole
from kiseki.importers.trainer_findings import findings, status
from kiseki.importers.trainer_log import Log, read_log
from kiseki.importers.writing import ImportedAttempt, ImportedRun, require_room, write_run
from kiseki.record.clock import Clock, SystemClock
from kiseki.record.line import EVAL, ROW

UNKNOWN = "unknown"

_NOTES_OF_A_KIND = 1000
_SETTINGS = (
    "max_steps", "num_train_epochs", "train_batch_size", "logging_steps", "eval_steps", "save_steps",
    "num_input_tokens_seen", "total_flos", "best_metric", "best_global_step", "is_hyper_param_search",
)  # fmt: skip
_TOLD = frozenset(
    (*_SETTINGS, "epoch", "global_step", "best_model_checkpoint", "is_local_process_zero", "is_world_process_zero")
)
_LISTED = 20
_CONTAINED = "all its records are in the file that counts"
_EARLIER = "an earlier attempt"


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    Attributes:
        history: the record, read back.
        name, bytes, sha256: the file that counts.
        counts: what became of its records; `records` is the sum of all others.
        other_files: what became of every further file, by name.
        warnings: what a reader of the record should know; they stand in it as notes.
    """

    history: History
    name: str
    bytes: int
    sha256: str
    counts: Mapping[str, int]
    other_files: Mapping[str, str]
    warnings: Sequence[str]


def import_trainer_state(
    source: Path,
    root: Path,
    *,
    model_name: str = UNKNOWN,
    language: str = "en",
    clock: Clock | None = None,
) -> Imported:
    """Import a run.

    Args:
        source: a `trainer_state.json`, a checkpoint's folder, or an output folder with `checkpoint-*` folders.
        root: the new run's folder; must not exist or be empty.
        model_name: as reports name the model; the source does not say it.
        language: `ja` or `en`, of curves and reports.
        clock: says when the import takes place.

    Returns:
        What was done. The same source at the same told time gives the same journal, byte for byte.

    Raises:
        SourceError: the source is no Trainer's state, or several runs' states.
        RunFolderError: the folder is not empty, or cannot be written; nothing is left in it.

    Example:
        >>> import json, tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> state = {"global_step": 2, "log_history": [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.5}]}
        >>> _ = (folder / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
        >>> imported = import_trainer_state(folder, folder / "run")
        >>> list(imported.history.rows.columns["loss"].value), imported.history.status
        ([3.0, 2.5], 'unknown')
    """
    require_room(root)
    found = find_states(source)
    states, failed = read_states(found)
    arranged = arrange([state.records for state in states], [state.last_step for state in states])
    _refuse_strangers(source, states, arranged)
    main = states[arranged.main]
    log = read_log(main.records)
    _require_something(source, log)
    others = _other_files(states, arranged, failed)
    warnings = [*findings(main, log), *_findings_of_others(others)]
    counts = _counts(main, log)
    last = ImportedAttempt(
        imported={**_origin(main), **({"other_files": others} if others else {})},
        lines=log.lines,
        notes=[
            *_notes(log),
            {"kind": "import", **counts, "not_taken_why": log.not_taken},
            *({"kind": "warning", "text": text} for text in warnings),
        ],
        status=status(main, log),
        last_step=main.last_step,
    )
    run = ImportedRun(
        run_id=f"imported-{main.sha256[:16]}",
        attempts=_with_earlier_attempts(last, states, arranged),
        max_steps=whole(main.settings.get("max_steps")) or None,
    )
    history = write_run(root, run, model_name=model_name, language=language, clock=clock or SystemClock())
    return Imported(history, main.name, main.bytes, main.sha256, counts, others, warnings)


def _with_earlier_attempts(
    last: ImportedAttempt, states: Sequence[State], arranged: Branching
) -> list[ImportedAttempt]:
    """Every log that parts from the main one is an attempt that the next one goes on from where they part."""
    attempts: list[ImportedAttempt] = []
    before: State | None = None
    shared = 0
    for index, shared_with_main in (
        *((branch.index, branch.shared) for branch in arranged.branches),
        (arranged.main, 0),
    ):
        state = states[index]
        attempt = last
        if index != arranged.main:
            lines = read_log(state.records).lines
            attempt = ImportedAttempt(_origin(state), lines, (), UNKNOWN, state.last_step)
        if before is not None:
            step = _parting_step(before, state, shared)
            attempt = replace(attempt, resume_step=step, lines=[line for line in attempt.lines if line.step > step])
        attempts.append(attempt)
        before, shared = state, shared_with_main
    return attempts


def _parting_step(one: State, other: State, shared: int) -> int:
    def steps(records: Sequence[object]) -> list[int]:
        return [step for step in map(step_of_record, records) if step is not None]

    return parting_step(steps(one.records[:shared]), steps([*one.records[shared:], *other.records[shared:]]))


def _refuse_strangers(source: Path, states: Sequence[State], arranged: Branching) -> None:
    if arranged.strangers:
        names = ", ".join(states[index].name for index in arranged.strangers[:3])
        raise SourceError(
            f"{source}: {names} and {states[arranged.main].name} share no beginning, so they are of different runs; "
            f"name the file of the run you mean"
        )


def _require_something(source: Path, log: Log) -> None:
    if not log.lines and not log.summaries:
        reasons = "; ".join(f"{count}: {why}" for why, count in log.not_taken.items())
        raise SourceError(f"{source}: no record of its `log_history` can be placed ({reasons}); nothing was imported")


def _other_files(states: Sequence[State], arranged: Branching, failed: Mapping[str, str]) -> dict[str, str]:
    """What became of every file but the one that counts."""
    branches = {branch.index for branch in arranged.branches}
    others = {}
    for index, state in enumerate(states):
        if index != arranged.main:
            damaged = f"; it is damaged at byte {state.unread.byte}: {state.unread.why}" if state.unread else ""
            others[state.name] = f"{_EARLIER if index in branches else _CONTAINED}{damaged}"
    return {**others, **{name: f"not read: {why}" for name, why in failed.items()}}


def _findings_of_others(others: Mapping[str, str]) -> list[str]:
    found = [f"{name}: {what}" for name, what in others.items() if what != _EARLIER and what != _CONTAINED]
    earlier = [name for name, what in others.items() if what.startswith(_EARLIER)]
    if earlier:
        found.append(
            f"parted from the file that counts, which goes furthest: {', '.join(earlier)}; what was logged there "
            f"afterwards is kept as an earlier attempt and does not count; which was made later is not known"
        )
    return found


def _origin(state: State) -> dict[str, Any]:
    """What the `open` line says of the source: nothing that only its owner may see."""
    settings = state.settings
    best = settings.get("best_model_checkpoint")
    left_out = sorted(name for name, value in settings.items() if name not in _TOLD and value not in (None, {}, []))
    left_out = [name[:100] for name in left_out[:_LISTED] if name.isprintable()]
    return {
        "from": state.name,
        "format": "Hugging Face Trainer, trainer_state.json",
        "bytes": state.bytes,
        "sha256": state.sha256,
        "records": len(state.records),
        "sealed_while_training": False,
        "times": UNKNOWN,
        "loss_reduction": UNKNOWN,
        "window_steps": "from the differences of steps",
        "transformers_version": state.transformers_version or UNKNOWN,
        "settings": {
            **{name: settings[name] for name in _SETTINGS if isinstance(settings.get(name), bool | int | float)},
            # a path, of which only the folder's own name says nothing about its owner
            **({"best_model_checkpoint": PureWindowsPath(best).name} if isinstance(best, str) else {}),
        },
        **({"members_not_taken": left_out} if left_out else {}),
    }


def _counts(state: State, log: Log) -> dict[str, int]:
    """`records` is the sum of the others."""
    return {
        "records": len(state.records),
        "rows": log.count(ROW),
        "evaluations": log.count(EVAL),
        "summaries": len(log.summaries),
        "joined": log.joined,
        "not_taken": sum(log.not_taken.values()),
    }


def _notes(log: Log) -> list[dict[str, Any]]:
    summaries = [
        {"kind": "trainer_summary", "step": step, "covers": "the last call of train() only", "values": fields}
        for step, fields in log.summaries
    ]
    without_step = [{"kind": "row_without_step", "measured": fields} for fields in log.without_step]
    refused = [
        {"kind": "refused_value", "step": whole(of.step), "name": name, "why": of.why, "count": of.count}
        for name, of in log.refusals.items()
    ]
    return [note for notes in (summaries, without_step, refused) for note in notes[:_NOTES_OF_A_KIND]]
