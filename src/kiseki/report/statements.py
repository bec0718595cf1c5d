"""Statements that come as files beside a record: how the data was collected, how a model is served.

They are plain JSON, so that any project can supply its own. What a statement does not say is not stated in the report;
what it says beyond the known keys stays in the report's JSON as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from kiseki.errors import UsageError
from kiseki.provenance.redaction import Redactor

_LARGEST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Statements:
    """The files to take along; None for those there are not.

    Attributes:
        data: how the training data was collected and cleaned.
        serving: how the model is served: gate, audit log, outcomes.
    """

    data: Path | None = None
    serving: Path | None = None


NONE = Statements()
"""No files."""


def read_statement(path: Path, redactor: Redactor) -> Mapping[str, Any]:
    """Read one.

    Args:
        path: a JSON object of at most 4 MiB.
        redactor: takes secrets, paths and names out.

    Raises:
        UsageError: it is not there, too large, or no JSON object.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise UsageError(f"{path}: a statement is at most {_LARGEST_BYTES:,} bytes; name that, not the data")
        content = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: the statement cannot be read: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: the statement is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path}: the statement is no JSON object")
    cleaned: Mapping[str, Any] = redactor.value(content)
    return cleaned
