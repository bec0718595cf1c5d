"""Which source code was running: the commit, and a digest of what stood uncommitted beside it."""

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 2.0
"""Longest wait for one call of git; a repository that needs more is reported as unknown."""


def describe_git(folder: Path, *, timeout: float = TIMEOUT_SECONDS) -> dict[str, Any] | None:
    """The state of the repository that holds `folder`.

    Untracked files are not counted: a run's own output is one.

    Args:
        folder: any folder inside the working tree.
        timeout: seconds for each of the two calls of git.

    Returns:
        `commit`, `branch`, `dirty` (tracked files differ from the commit) and `diff_sha256` (of
        `git diff HEAD --binary`, "none" when clean), each "unknown" where git gave no answer in time; None where
        there is no git or no repository.
    """
    head = _git(folder, timeout, "rev-parse", "HEAD", "--abbrev-ref", "HEAD")
    if head is None:
        return None
    commit, _, branch = head.decode("utf-8", "replace").strip().partition("\n")
    diff = _git(folder, timeout, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv", "--no-color")
    if diff is None:
        return {"commit": commit, "branch": branch, "dirty": "unknown", "diff_sha256": "unknown"}
    return {
        "commit": commit,
        "branch": branch,
        "dirty": bool(diff),
        "diff_sha256": hashlib.sha256(diff).hexdigest() if diff else "none",
    }


def _git(folder: Path, timeout: float, *arguments: str) -> bytes | None:
    # No lock on the index, no file-system monitor, no question to the terminal: looking must not disturb.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
