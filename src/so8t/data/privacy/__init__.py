"""Personal data in Japanese and English text: found, taken out and counted, never shown."""

from so8t.data.privacy.kinds import DEFAULT_ACTIONS, Action, Finding, Kind
from so8t.data.privacy.redact import Redacted, redact
from so8t.data.privacy.scan import scan

__all__ = ["DEFAULT_ACTIONS", "Action", "Finding", "Kind", "Redacted", "redact", "scan"]
