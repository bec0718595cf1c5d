"""Makes a run of what a Hugging Face Trainer left: `trainer_state.json`, of one checkpoint or of many.

What the source does not say stays unknown: when rows were logged, how long training took, on what machine, whether
`loss` is a mean over tokens or over batches. The record says that it was imported, from what, with the digest of every
file, and that nothing sealed this history while it was made.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from kiseki.history import History, read_history
from kiseki.importers.branches import Branching, arrange, parting_step
from kiseki.importers.json_stream import SourceError
from kiseki.importers.lines import Line, let_go
from kiseki.importers.numbers import step_of_record, whole
from kiseki.importers.progress import Progress, part, untold, watched
from kiseki.importers.trainer_files import State, find_states, read_states
from kiseki.importers.trainer_findings import findings, status
from kiseki.importers.trainer_log import Log, read_log
from kiseki.importers.trainer_origin import UNKNOWN, origin
from kiseki.importers.writing import ImportedAttempt, ImportedRun, require_room, write_run
from kiseki.record.clock import Clock, SystemClock
from kiseki.record.line import EVAL, ROW
from kiseki.run_folder import RunFolder

_NOTES_OF_A_KIND = 1000
_CONTAINED = "all its records are in the file that counts"
_EARLIER = "an earlier attempt"


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        folder: the run.
        rows, evaluations: how many count, by reading the record back.
        name, bytes, sha256: the file that counts.
        counts: what became of its records; `records` is the sum of all others.
        other_files: what became of every further file, by name.
        warnings: what a reader of the record should know; they stand in it as notes.
    """

    folder: RunFolder
    rows: int
    evaluations: int
    name: str
    bytes: int
    sha256: str
    counts: Mapping[str, int]
    other_files: Mapping[str, str]
    warnings: Sequence[str]

    @cached_property
    def history(self) -> History:
        """The record, read when it is first asked for."""
        return read_history(self.folder)


def import_trainer_state(
    source: Path,
    root: Path,
    *,
    model_name: str = UNKNOWN,
    language: str = "en",
    clock: Clock | None = None,
    progress: Progress = untold,
) -> Imported:
    """Import a run.

    Args:
        source: a `trainer_state.json`, a checkpoint's folder, or an output folder with `checkpoint-*` folders.
        root: the new run's folder; must not exist or be empty.
        model_name: as reports name the model; the source does not say it.
        language: `ja` or `en`, of curves and reports.
        clock: says when the import takes place.
        progress: told how far it is.

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
    states, failed = read_states(found, part(progress, 0, 5))
    arranged = arrange([state.records for state in states], [state.last_step for state in states])
    _refuse_strangers(source, states, arranged)
    main = states[arranged.main]
    earlier, resume_step = _earlier_attempts(states, arranged)
    for state in states:
        if state is not main:  # its records have been looked at; those of a long run are hundreds of megabytes
            state.records.clear()
    log = read_log(watched(let_go(main.records), main.count, part(progress, 5, 15)))
    _require_something(source, log)
    others = _other_files(states, arranged, failed)
    warnings = [*findings(main, log), *_findings_of_others(others)]
    counts = _counts(main, log)
    last = ImportedAttempt(
        imported={**origin(main), **({"other_files": others} if others else {})},
        lines=_beyond(resume_step, watched(let_go(log.lines), len(log.lines), part(progress, 15, 35))),
        notes=[
            *_notes(log),
            {"kind": "import", **counts, "not_taken_why": log.not_taken},
            *({"kind": "warning", "text": text} for text in warnings),
        ],
        status=status(main, log),
        last_step=main.last_step,
        resume_step=resume_step,
    )
    run = ImportedRun(
        run_id=f"imported-{main.sha256[:16]}",
        attempts=[*earlier, last],
        max_steps=whole(main.settings.get("max_steps")) or None,
    )
    read_back = write_run(
        root,
        run,
        model_name=model_name,
        language=language,
        clock=clock or SystemClock(),
        progress=part(progress, 35, 100),
    )
    return Imported(RunFolder(root), *read_back, main.name, main.bytes, main.sha256, counts, others, warnings)


def _earlier_attempts(states: Sequence[State], arranged: Branching) -> tuple[list[ImportedAttempt], int | None]:
    """Every log that parts from the main one is an attempt that the next one goes on from where they part.

    Returns:
        Those attempts, and the step from which the main log goes on after the last of them.
    """
    attempts: list[ImportedAttempt] = []
    resume_step: int | None = None
    order = [*(states[branch.index] for branch in arranged.branches), states[arranged.main]]
    for branch, (state, following) in zip(arranged.branches, pairwise(order), strict=True):
        lines = _beyond(resume_step, read_log(state.records).lines)
        attempts.append(ImportedAttempt(origin(state), lines, (), UNKNOWN, state.last_step, resume_step))
        resume_step = _parting_step(state, following, branch.shared)
    return attempts, resume_step


def _beyond(resume_step: int | None, lines: Iterable[Line]) -> Iterator[Line]:
    return (line for line in lines if resume_step is None or line.step > resume_step)


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


def _counts(state: State, log: Log) -> dict[str, int]:
    """`records` is the sum of the others."""
    return {
        "records": state.count,
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
