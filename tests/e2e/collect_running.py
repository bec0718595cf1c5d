"""Starts collections of the tests' own site, in processes of their own: an engine can run once per process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROGRAM = Path(__file__).with_name("collect_program.py")
COMMAND = (
    "from so8t.cli import commands, main; from so8t.cli.collect import collect; commands.add_command(collect); main()"
)


@dataclass(frozen=True)
class Ended:
    """How a run of the program ended."""

    code: int
    out: str
    err: str


def write_registry(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "sources.yaml"
    # dates must not be quoted: YAML's own type is what people write
    text = re.sub(r"'(\d{4}-\d\d-\d\d)'", r"\1", yaml.safe_dump(content, allow_unicode=True))
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def start(sources: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(sources), str(out), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "http_proxy": "http://127.0.0.1:9", "COLUMNS": "200"},
    )


def run(sources: Path, out: Path, *more: str) -> Ended:
    process = start(sources, out, *more)
    output, errors = process.communicate(timeout=120)
    return Ended(process.returncode, output, errors)


def command(*words: object) -> Ended:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "collect", *map(str, words)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        timeout=120,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
