"""Phases of training as every diagram of a report marks them."""

from kiseki.analysis.phases import phases_that_count
from kiseki.report.dossier import Dossier
from kiseki.report.sections.given import visible
from kiseki.report.sections.wording import Speaker

PhaseSpan = tuple[int, int, str]


def phase_spans(dossier: Dossier, say: Speaker) -> tuple[PhaseSpan, ...]:
    """First step, last step and name of each phase that counts."""
    return tuple(
        (
            phase.start,
            max(phase.start, dossier.total_steps) if phase.end is None else phase.end - 1,
            phase_name(phase.name, say),
        )
        for phase in phases_that_count(dossier.phases, dossier.attempts)
    )


def phase_name(name: str, say: Speaker) -> str:
    """A phase's name for the reader; one that is not PET's stays as it was recorded."""
    return {
        "exploration": say(ja="探索", en="exploration"),
        "transition": say(ja="移行", en="transition"),
        "stabilization": say(ja="安定化", en="stabilization"),
    }.get(name, visible(name))
