"""What a cleaning is told. Kept beside its results, because a restart with other settings would mix two cleanings."""

from __future__ import annotations

import msgspec

from so8t.data.privacy import DEFAULT_ACTIONS, Action, Kind


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to clean.

    Attributes:
        licence: licence of records that do not state one; without it they are left out.
        tier: trust tier of records that do not state one.
        actions: what to do about each kind of personal data.
        safety_digest: SHA-256 of the safety classifier.
        shortest_ja: fewest characters of a Japanese text.
        shortest_en: fewest characters of an English text.
        longest: most characters of a text.
        similar: share of five-character pieces two texts must have in common to count as one.
    """

    licence: str | None = None
    tier: str | None = None
    actions: dict[Kind, Action] = msgspec.field(default_factory=lambda: dict(DEFAULT_ACTIONS))
    safety_digest: str = ""
    shortest_ja: int = 50
    shortest_en: int = 200
    longest: int = 100_000
    similar: float = 0.8
