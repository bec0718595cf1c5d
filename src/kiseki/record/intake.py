"""Rows that are not simply floats: names are cleaned, device tensors wait, what is no number is refused and told.

The recorder writes the usual row itself; everything else, evaluations included, comes through here.
"""

from collections.abc import Callable, Mapping
from typing import Any

from kiseki.record.device import HostCopy, lives_on_a_device
from kiseki.record.row import Refused, admit, clean_name, encode_row, whole_step
from kiseki.vocabulary import RESERVED

_NAMES_TOLD = 1000

Fields = dict[str, Any]


class Intake:
    """Takes in rows of any kind for one journal.

    Args:
        write: appends an encoded row: kind, step, payload; returns whether it is kept.
        note: writes a note: kind and fields.
        warn: tells the user.

    Attributes:
        refused: how many values and rows could not be recorded as they were given.
        waiting: a row with device tensors waits for the next one, or for `finish`.
    """

    def __init__(
        self,
        write: Callable[[str, int, bytes], bool],
        note: Callable[..., object],
        warn: Callable[[str], None],
    ) -> None:
        self._write = write
        self._note = note
        self._warn = warn
        self._told: set[str] = set()
        self._pending: tuple[str, Fields] | None = None
        self.refused = 0
        self.waiting = False

    def take(self, kind: str, fields: Fields, named: Mapping[str, Any]) -> bool:
        """Record one row, after the one that waited; False when it waits in turn, or was refused.

        Args:
            kind: `row` or `eval`.
            fields: the recorder's own keys and the specification's; None means not measured.
            named: further metrics, under the names the user gave.
        """
        self.finish()
        self._add(fields, named)
        on_device = {
            name: HostCopy(value)
            for name, value in fields.items()
            if type(value) is not float and value is not None and lives_on_a_device(value)
        }
        if on_device:
            self._pending, self.waiting = (kind, {**fields, **on_device}), True
            return False
        return self._admit(kind, fields)

    def finish(self) -> None:
        """Write the row that waited for a device, waiting for the device if need be."""
        if self._pending is not None:
            (kind, fields), self._pending = self._pending, None
            self.waiting = False
            if isinstance(fields["step"], HostCopy):
                fields["step"] = fields["step"].item()
            self._admit(kind, fields)

    def _add(self, fields: Fields, named: Mapping[str, Any]) -> None:
        for name, value in named.items():
            try:
                cleaned = clean_name(name)
                if cleaned in RESERVED:
                    raise Refused("the recorder writes this key itself")
            except Refused as reason:
                self._refuse(fields["step"], name, reason)
            else:
                fields[cleaned] = value

    def _admit(self, kind: str, fields: Fields) -> bool:
        given = fields.pop("step")
        try:
            step = whole_step(given)
        except Refused as reason:
            self._keep_aside(kind, given, fields, reason)
            return False
        row = admit({"step": step, **fields}, lambda name, reason: self._refuse(step, name, reason))
        return self._write(kind, step, encode_row(row))

    def _keep_aside(self, kind: str, given: object, fields: Fields, reason: Refused) -> None:
        """A row whose step is none cannot count, but what was measured is not thrown away: it stands in a note."""
        self.refused += 1
        self._warn(f"a row with step {given!r:.40} was noted, not counted: {reason}")
        measured = admit(fields, lambda name, why: self._refuse(given, name, why))
        self._note("row_without_step", of=kind, given=f"{given!r:.40}", why=str(reason), measured=measured)

    def _refuse(self, step: object, name: str, reason: Refused) -> None:
        """Count a value that cannot be recorded; name it in a note and to the user the first time."""
        self.refused += 1
        printable = name.encode("utf-8", "backslashreplace").decode("utf-8")
        if printable not in self._told and len(self._told) < _NAMES_TOLD:
            self._told.add(printable)
            self._warn(f"step {step!r:.40}: {printable!r:.80} was not recorded: {reason}")
            told_step = step if type(step) is int else f"{step!r:.40}"
            self._note("refused_value", step=told_step, name=printable, why=str(reason))
