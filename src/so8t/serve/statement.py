"""The serving statement: what an audit log says about the operation of `/think`, for the PoC report.

::

    {"format": "so8t-serving-statement-1", "made_at": "..Z",
     "gates": [{"gate_version": "1", "policy_digest": "..", "rows": 42}],
     "models": [{"model_id": "demo", "model_sha": "..", "rows": 42}],
     "outcomes": {"answered": 40, "refused": 2, ...},
     "chain_heads": ["writer:seq:hash", ...],
     "first_row_at": "..Z", "last_row_at": "..Z"}

Every outcome is listed, also those that never came. A chain head can be handed to `so8t audit verify --since` later: it
then shows that no row up to it was changed or removed. There is nothing in it about any one request.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, func, select

from so8t.serve.audit.reader import heads, opened, outcome_counts
from so8t.serve.audit.rows import ROWS
from so8t.serve.outcome import Outcome

__all__ = ["FORMAT", "serving_statement"]

FORMAT = "so8t-serving-statement-1"


def serving_statement(database: str | Path, now: datetime) -> bytes:
    """Make the statement of an audit log, as it is at this moment.

    Args:
        database: path or URL of the audit log.
        now: aware time in UTC.

    Returns:
        JSON, indented, with a line end.

    Raises:
        AuditInputError: there is no audit log.
        AuditUnavailable: the database does not answer.
    """
    with opened(database) as connection:
        counts = outcome_counts(connection)
        first, last = connection.execute(select(func.min(ROWS.c.ts_utc), func.max(ROWS.c.ts_utc))).one()
        statement = {
            "format": FORMAT,
            "made_at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "gates": _rows_by(connection, ROWS.c.gate_version, ROWS.c.policy_digest),
            "models": _rows_by(connection, ROWS.c.model_id, ROWS.c.model_sha),
            "outcomes": {outcome.value: counts.get(outcome.value, 0) for outcome in Outcome},
            "chain_heads": [str(head) for head in heads(connection)],
            "first_row_at": first,
            "last_row_at": last,
        }
    return msgspec.json.format(msgspec.json.encode(statement), indent=2) + b"\n"


def _rows_by(connection: Connection, *columns: Column[Any]) -> list[dict[str, Any]]:
    counted = select(*columns, func.count().label("rows")).group_by(*columns).order_by(*columns)
    return [dict(row) for row in connection.execute(counted).mappings()]
