"""What every importer makes of its source: lines for the journal."""

from dataclasses import dataclass

from kiseki.record.row import Recordable

Fields = dict[str, Recordable]


@dataclass(slots=True)
class Line:
    """One line of the journal that is to be.

    Attributes:
        kind: `row` or `eval`.
        step: optimizer step.
        fields: what was measured, by name.
    """

    kind: str
    step: int
    fields: Fields
