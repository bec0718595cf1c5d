"""The promises of a run: what was recorded before training, and what became of it."""

from dataclasses import dataclass

from kiseki.analysis.criteria import Overall, Verdict, criteria_digest, judge, overall, parse_criteria
from kiseki.errors import UsageError
from kiseki.history import History


@dataclass(frozen=True, slots=True)
class Criteria:
    """The promises made before training and what became of them.

    Attributes:
        overall: the verdict on the run.
        verdicts: one for each criterion.
        set_at: when they were recorded, None without criteria.
        set_in_attempt: the attempt whose opening holds them, None without criteria.
        before_training: they were recorded before the first row of the run.
        sha256: their digest.
        digest_matches: it is the one that the journal states; None where it states none.
        changed_in_attempts: later attempts that stated other criteria; those are not judged by.
        unreadable: why the criteria in the journal could not be read, else empty.
    """

    overall: Overall
    verdicts: tuple[Verdict, ...] = ()
    set_at: str | None = None
    set_in_attempt: int | None = None
    before_training: bool = False
    sha256: str | None = None
    digest_matches: bool | None = None
    changed_in_attempts: tuple[int, ...] = ()
    unreadable: str = ""


def criteria_of(history: History, *, completed: bool) -> Criteria:
    """Judge a run by the first criteria that its journal states.

    Args:
        history: the record.
        completed: the run came to its end; one that did not cannot be a success.
    """
    stated = [(attempt, attempt.opened["criteria"]) for attempt in history.attempts if attempt.opened.get("criteria")]
    if not stated:
        return Criteria("not_judged")
    attempt, entries = stated[0]
    digest = attempt.opened.get("criteria_sha256")
    try:
        criteria = parse_criteria(entries)
    except UsageError as error:
        return Criteria("not_judged", set_at=attempt.started, set_in_attempt=attempt.number, unreadable=str(error))
    verdicts = tuple(judge(criteria, history))
    sha256 = criteria_digest(criteria)
    return Criteria(
        overall=overall(verdicts, completed=completed),
        verdicts=verdicts,
        set_at=attempt.started,
        set_in_attempt=attempt.number,
        before_training=not any(earlier.rows for earlier in history.attempts[: attempt.number - 1]),
        sha256=sha256,
        digest_matches=None if digest is None else digest == sha256,
        changed_in_attempts=tuple(later.number for later, other in stated[1:] if other != entries),
    )
