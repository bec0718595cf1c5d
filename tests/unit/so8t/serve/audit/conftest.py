"""Events to log, a key, and for the tests that need one a PostgreSQL server of their own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from so8t.data.thinking import SafetyLabel
from so8t.serve.audit.event import AuditEvent
from so8t.serve.audit.keys import AuditKey
from so8t.serve.gate import Parts
from so8t.serve.outcome import Outcome

Make = Callable[..., AuditEvent]


@pytest.fixture
def key() -> AuditKey:
    return AuditKey.of(bytes(range(32)))


@pytest.fixture
def make_event() -> Make:
    """Makes an event; arguments replace its fields."""

    def make(number: int = 1, **changes: Any) -> AuditEvent:
        fields: dict[str, Any] = {
            "request_id": f"request-{number}",
            "user_id": "user",
            "query": f"question {number}",
            "answer": "Wear gloves.",
            "raw_output": f"<think-task>t{number}</think-task> and so on",
            "parts": Parts(f"task {number}", "safety", "policy", "Wear gloves."),
            "outcome": Outcome.ANSWERED,
            "safety_label": SafetyLabel.ALLOW,
            "safety_confidence": 0.1 + 0.2,
            "final_label": SafetyLabel.ALLOW,
            "final_confidence": 1,
            "latency_ms": 12.4,
            "model_id": "demo",
            "policy_digest": "ab" * 32,
        }
        return AuditEvent(**{**fields, **changes})

    return make


class Postgres:
    """A server in a folder, reached by a socket in it; nothing listens on the network."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs, self.folder, self._databases = programs, folder, 0
        self._as = {"user": "postgres", "group": "postgres"} if os.name == "posix" and os.geteuid() == 0 else {}

    def run(self, program: str, *words: str) -> None:
        log = self.folder / f"{program}.out"
        with log.open("ab") as out:  # the server keeps it open, so a pipe would never end
            command = [str(self.programs / program), *words]
            done = subprocess.run(command, stdout=out, stderr=out, cwd=self.folder, timeout=120, **self._as)
        assert done.returncode == 0, log.read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c log_statement=all"
        log = str(self.folder / "server.log")
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-t", "100", "-l", log, "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", mode, "stop")

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        engine = create_engine(self.url(database).replace("://", "+psycopg://"), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                result = connection.execute(text(statement))
                return list(result) if result.returns_rows else []
        finally:
            engine.dispose()

    def new_database(self) -> str:
        self._databases += 1
        name = f"audit_{self._databases}"
        self.execute(f"CREATE DATABASE {name}")
        return name


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    programs = _postgres_programs()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no PostgreSQL server programs (Debian package: postgresql)")
        pytest.skip("no PostgreSQL server programs here (initdb; Debian package: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = Postgres(programs, folder)
    if server._as:
        shutil.chown(folder, "postgres", "postgres")
    try:
        server.run(
            "initdb", "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"
        )
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _postgres_programs() -> Path | None:
    found = shutil.which("initdb")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return Path(found).resolve().parent if found else installed[-1].parent if installed else None
