"""What can go wrong in the audit log. No message ever holds a text that was to be hashed."""

from so8t.errors import So8tError

__all__ = ["AuditConnectionLost", "AuditInputError", "AuditKeyError", "AuditRowChanged", "AuditUnavailable"]


class AuditUnavailable(So8tError):
    """A row is not durably in the log; no answer may be sent (HTTP 503)."""

    exit_code = 1


class AuditConnectionLost(AuditUnavailable):
    """The connection to the database broke before anything was committed: the rows can be handed in once more."""


class AuditKeyError(So8tError):
    """A key file is missing, damaged, readable by others, or cannot be made."""


class AuditInputError(So8tError):
    """What was handed in cannot stand in an audit row, or names no row."""


class AuditRowChanged(So8tError):
    """A row is not as the server wrote it, so nothing can be proved with it."""

    exit_code = 1
