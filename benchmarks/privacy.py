"""How well personal data is found: recall and precision per kind on the labelled set.

    python benchmarks/privacy.py

The set is made by `tests/golden/privacy/make.py`. A value counts as found when every character of it is covered by
findings; a finding is right when it covers part of a value of its own kind. Prints counts and rates, and where a kind
was missed its form, never a value. The rules and the set were written by the same hands: read 100 % as "does what it
was made for", not as a promise about any text.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from so8t.data.privacy import Finding, scan

LABELLED = Path(__file__).parents[1] / "tests" / "golden" / "privacy"
CHECK_DIGIT_KINDS = frozenset({"card", "my_number"})


@dataclass
class Score:
    """Counts of one kind."""

    labelled: int = 0
    covered: int = 0
    right: int = 0
    findings: int = 0
    missed_forms: Counter[str] = field(default_factory=Counter)

    @property
    def recall(self) -> float:
        return self.covered / self.labelled if self.labelled else 1.0

    @property
    def precision(self) -> float:
        return self.right / self.findings if self.findings else 1.0


@dataclass
class Outcome:
    """Scores per kind, and what was found where there is nothing."""

    scores: dict[str, Score]
    false_alarms: Counter[tuple[str, str]]
    negatives: int
    characters: int
    seconds: float


def rows(name: str) -> list[dict[str, Any]]:
    """The rows of one labelled file."""
    with (LABELLED / name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def is_covered(start: int, end: int, found: list[Finding]) -> bool:
    """Whether every character from start to end lies in a finding; line ends may be left."""
    covered = {position for finding in found for position in range(finding.start, finding.end)}
    return covered.issuperset(range(start, end))


def measure() -> Outcome:
    """Scan the whole labelled set."""
    positives, negatives = rows("positives.jsonl"), rows("negatives.jsonl")
    scores: dict[str, Score] = {row["kind"]: Score() for row in positives}
    false_alarms: Counter[tuple[str, str]] = Counter()
    began = time.perf_counter()
    for row in positives:
        found = scan(row["text"])
        score = scores[row["kind"]]
        score.labelled += 1
        if is_covered(row["start"], row["end"], found):
            score.covered += 1
        else:
            score.missed_forms[row["form"]] += 1
        for finding in found:
            other = scores.setdefault(finding.kind.value, Score())
            other.findings += 1
            touches = finding.start < row["end"] and row["start"] < finding.end
            other.right += touches and finding.kind.value == row["kind"]
    for row in negatives:
        for finding in scan(row["text"]):
            false_alarms[row["why"], finding.kind.value] += 1
            scores.setdefault(finding.kind.value, Score()).findings += 1
    seconds = time.perf_counter() - began
    characters = sum(len(row["text"]) for row in (*positives, *negatives))
    return Outcome(scores, false_alarms, len(negatives), characters, seconds)


def main() -> None:
    """Print the table."""
    outcome = measure()
    print(f"{'kind':<18}{'labelled':>9}{'recall':>9}{'precision':>11}  missed")
    for kind, score in sorted(outcome.scores.items()):
        missed = ", ".join(f"{form} {count}" for form, count in score.missed_forms.most_common())
        print(f"{kind:<18}{score.labelled:>9}{score.recall:>9.2%}{score.precision:>11.2%}  {missed}")
    alarms = sum(outcome.false_alarms.values())
    print(f"false alarms: {alarms} in {outcome.negatives} texts without personal data")
    for (why, kind), count in outcome.false_alarms.most_common():
        print(f"  {why}: {kind} {count}")
    print(f"{outcome.characters / outcome.seconds / 1e6:.2f} million characters a second, one core")


if __name__ == "__main__":
    main()
