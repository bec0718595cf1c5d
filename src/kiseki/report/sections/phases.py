"""Phases of training and takeovers by later attempts, as every diagram marks them."""

from kiseki.report.dossier import Dossier
from kiseki.report.sections.given import visible
from kiseki.report.sections.wording import Speaker

PhaseSpan = tuple[int, int, str]

_MOST_PHASES = 200


def takeovers(dossier: Dossier) -> tuple[int, ...]:
    """Optimizer steps from which a later attempt went on."""
    steps = (attempt.resume_step for attempt in dossier.attempts[1:])
    return tuple(sorted({step for step in steps if step is not None}))


def phase_spans(dossier: Dossier, say: Speaker) -> tuple[PhaseSpan, ...]:
    """First step, last step and name of each phase that counts.

    What a resumed attempt went back behind is as superseded as the rows there are. The first
    `_MOST_PHASES` are told; a trainer that marks more uses phases for something else.
    """
    starts: dict[int, str] = {}
    for phase in dossier.phases:
        step, name = phase.get("step"), phase.get("name")
        if not isinstance(step, int) or isinstance(step, bool) or not isinstance(name, str):
            continue
        later = dossier.attempts[int(phase["attempt"]) :]
        resumed = [attempt.resume_step for attempt in later if attempt.resume_step is not None]
        if not resumed or step <= min(resumed):
            starts[step] = name
    changes: list[tuple[int, str]] = []
    for step, name in sorted(starts.items()):
        if not changes or changes[-1][1] != name:
            changes.append((step, name))
    spans = []
    for place, (start, name) in enumerate(changes[:_MOST_PHASES]):
        end = changes[place + 1][0] - 1 if place + 1 < len(changes) else max(start, dossier.total_steps)
        spans.append((start, end, phase_name(name, say)))
    return tuple(spans)


def phase_name(name: str, say: Speaker) -> str:
    """A phase's name for the reader; one that is not PET's stays as it was recorded."""
    return {
        "exploration": say(ja="探索", en="exploration"),
        "transition": say(ja="移行", en="transition"),
        "stabilization": say(ja="安定化", en="stabilization"),
    }.get(name, visible(name))
