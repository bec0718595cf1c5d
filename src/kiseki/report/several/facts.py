"""Gathers several runs once: each one's dossier, what they agree in, and every metric's mean and interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from kiseki.analysis.replicates import Interval, interval
from kiseki.analysis.statistics import Summary
from kiseki.errors import UsageError
from kiseki.history import Column
from kiseki.report.dossier import Dossier, gather
from kiseki.report.effective import leaves
from kiseki.report.sections.given import processes
from kiseki.run_folder import RunFolder

_SEEDS = ("seed", "data_seed")
_NO_SETTINGS = ("eval_on_start",)
"""What is not compared: resuming itself switches it off."""


@dataclass(frozen=True)
class Several:
    """Runs that are looked at together.

    Attributes:
        dossiers: one of each run, in the order given; at least two.
        language: of texts.
        generated_at: RFC 3339, UTC.
        training: last finite value of every metric that all runs have, over the runs.
        evaluation: the same of evaluations.
        partial: metrics that only some runs have; nothing is said of those.
        differing: setting to its value in each run, where they are not all the same.
    """

    dossiers: tuple[Dossier, ...]
    language: str
    generated_at: str
    training: Mapping[str, Interval]
    evaluation: Mapping[str, Interval]
    partial: tuple[str, ...]
    differing: Mapping[str, tuple[Any, ...]]

    @property
    def replicates(self) -> bool:
        """The runs differ in their seeds at most, so that their spread is that of chance."""
        return all(name.rpartition(".")[2] in _SEEDS for name in self.differing)

    @cached_property
    def columns(self) -> Mapping[str, tuple[Column, ...]]:
        """The curves of every metric that all runs have, training first."""
        found = {name: self._columns(name, evaluations=False) for name in self.training}
        return found | {name: self._columns(name, evaluations=True) for name in self.evaluation if name not in found}

    def _columns(self, name: str, *, evaluations: bool) -> tuple[Column, ...]:
        histories = [dossier.history for dossier in self.dossiers]
        return tuple((one.evaluations if evaluations else one.rows).columns[name] for one in histories)


def gather_several(
    folders: Sequence[RunFolder], *, now: datetime | None = None, language: str | None = None
) -> Several:
    """Gather the facts of several runs as they stand now.

    Args:
        folders: at least two different runs.
        now: the moment that dates the report; the present by default.
        language: `ja` or `en`; the first run's own by default.

    Raises:
        UsageError: a run is named twice, also under two paths.
        RunFolderError: a run has no journal.
    """
    now = now or datetime.now(UTC)
    dossiers = tuple(gather(folder, now=now, language=language) for folder in folders)
    journals = [dossier.journal.sha256 for dossier in dossiers]
    for position, journal in enumerate(journals):
        if journal in journals[:position]:
            twice = folders[journals.index(journal)].root, folders[position].root
            raise UsageError(f"{twice[0]} and {twice[1]} are the same run: name each run once")
    training, partly = _intervals([dossier.training for dossier in dossiers])
    evaluation, partly_evaluated = _intervals([dossier.evaluation for dossier in dossiers])
    return Several(
        dossiers=dossiers,
        language=dossiers[0].language,
        generated_at=dossiers[0].generated_at,
        training=training,
        evaluation=evaluation,
        partial=tuple(dict.fromkeys([*partly, *partly_evaluated])),
        differing=_differing(dossiers),
    )


def _intervals(summaries: Sequence[Mapping[str, Summary]]) -> tuple[dict[str, Interval], list[str]]:
    """The interval of every metric that has a finite value in each run, and the names of the others."""
    names = dict.fromkeys(name for one in summaries for name in one)
    found, partial = {}, []
    for name in names:
        last = [one[name].last_finite if name in one else None for one in summaries]
        values = [value for value in last if value is not None]
        if len(values) == len(last):
            found[name] = interval(values)
        else:
            partial.append(name)
    return found, partial


def _differing(dossiers: Sequence[Dossier]) -> dict[str, tuple[Any, ...]]:
    settings = []
    for dossier in dossiers:
        sides = (dossier.model_config, dossier.training_config)
        settings.append({name: value for side in sides if isinstance(side, Mapping) for name, value in leaves(side)})
    names = dict.fromkeys(name for one in settings for name in one if name.rpartition(".")[2] not in _NO_SETTINGS)
    rows = {name: tuple(one.get(name) for one in settings) for name in names}
    ranks = tuple(processes(dossier) for dossier in dossiers)
    if None not in ranks:  # that one of them does not say is no difference
        rows["ranks"] = ranks
    return {name: values for name, values in rows.items() if any(value != values[0] for value in values[1:])}
