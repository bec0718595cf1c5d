"""The commit is named, and what stood uncommitted beside it has a digest."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from kiseki.provenance.git import describe_git

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")


def git(folder: Path, *arguments: str) -> bytes:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "train.py").write_text("lr = 1\n", encoding="utf-8")
    git(tmp_path, "add", "train.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_a_clean_tree_is_its_commit(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD").decode().strip()
    expected = {"commit": commit, "branch": "trunk", "dirty": False, "diff_sha256": "none"}
    assert describe_git(repository) == expected


def test_a_changed_tree_is_dirty_with_the_digest_of_its_diff(repository: Path) -> None:
    (repository / "train.py").write_text("lr = 2\n", encoding="utf-8")
    described = describe_git(repository)
    assert described is not None
    assert described["dirty"] is True
    assert described["diff_sha256"] == hashlib.sha256(git(repository, "diff", "HEAD", "--binary")).hexdigest()


def test_untracked_output_does_not_make_the_tree_dirty(repository: Path) -> None:
    (repository / "run").mkdir()
    (repository / "run" / "x").write_text("x", encoding="utf-8")
    described = describe_git(repository / "run")
    assert described is not None
    assert described["dirty"] is False


def test_no_repository_no_commit_no_folder_and_no_time_are_all_unknown(tmp_path: Path) -> None:
    assert describe_git(tmp_path) is None
    assert describe_git(tmp_path / "missing") is None
    assert describe_git(tmp_path, timeout=0.0) is None
    git(tmp_path, "init", "-q")
    assert describe_git(tmp_path) is None
