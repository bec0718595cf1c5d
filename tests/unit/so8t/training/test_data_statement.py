"""The data statement that a configuration names: taken along into the report, and refused early when it is none."""

from pathlib import Path

import pytest

from so8t.errors import DataError
from so8t.training.reporting import data_statement


def test_a_statement_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_bytes(b'{"schema_version": 1, "sources": []}')
    assert data_statement(tmp_path / "s.json") == {"schema_version": 1, "sources": []}


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", b"\xff"])
def test_what_is_no_statement_is_named_with_its_key(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "s.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"^data\.statement .*s\.json"):
        data_statement(path)
