"""The same pipeline gives the same records wherever it runs."""

import os
import stat
import sys
from pathlib import Path

import pytest

from so8t.data.clean.executors import RayRunner, Slurm, SlurmRunner
from so8t.data.clean.pipeline import read_statement, run_cleaning
from so8t.data.clean.settings import Settings
from so8t.data.safety.classifier import SafetyClassifier
from so8t.errors import So8tError

SETTINGS = Settings(licence="CC0-1.0", tier="1")

# Runs what it is given at once, one array task after the other, as a cluster would some time later.
SBATCH = """#!/bin/bash
for script; do :; done
cp "$script" "$SUBMITTED/$(ls "$SUBMITTED" | wc -l).sh"
echo "$@" >> "$SUBMITTED.arguments"
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
for task in $(seq 0 "$last"); do
  SLURM_ARRAY_TASK_ID=$task SLURM_JOB_ID=42 SLURM_NODELIST=localhost bash "$script" >&2 || exit 1
done
echo "Submitted batch job 42"
"""
SRUN = """#!/bin/bash
while [ "${1#-}" != "$1" ]; do [ "$1" = "-n" ] && shift; shift; done
exec "$@"
"""
SCONTROL = """#!/bin/bash
echo localhost
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Slurm of this machine: its commands, and the folder in which submitted scripts are kept."""
    commands, submitted = tmp_path / "bin", tmp_path / "submitted"
    commands.mkdir()
    submitted.mkdir()
    for name, script in (("sbatch", SBATCH), ("srun", SRUN), ("scontrol", SCONTROL)):
        (commands / name).write_text(script)
        (commands / name).chmod((commands / name).stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SUBMITTED", str(submitted))
    return submitted


@pytest.fixture
def many(jsonl, prose, monkeypatch):
    monkeypatch.setattr("so8t.data.clean.plan._RANGE_BYTES", 4_000)
    return jsonl({"text": prose(n) + "電話 03-3234-5678"} for n in range(20))


def test_two_workers_write_the_same_bytes_as_one(tmp_path, many, clean):
    one, two = clean(many, out=tmp_path / "one"), clean(many, out=tmp_path / "two", workers=2)
    assert len(one["dataset"]["files"]) > 1
    assert one["dataset"]["files"] == two["dataset"]["files"]
    assert one["cleaning"] == two["cleaning"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Slurm runs on POSIX systems")
def test_slurm_gets_scripts_that_run_the_passes_in_order(tmp_path, many, clean, cluster):
    out = tmp_path / "slurm"
    here = clean(many, out=tmp_path / "here", load=SafetyClassifier.load)
    slurm = Slurm("cpu", "01:30:00", {"account": "poc"})
    run_cleaning(many, out, SETTINGS, SlurmRunner(3, slurm), SafetyClassifier.load)

    scripts = [path.read_text() for path in sorted(cluster.iterdir())]
    assert [script.partition("--job-name=")[2].split()[0] for script in scripts] == [
        "so8t-clean-clean",
        "so8t-clean-compare",
        "so8t-clean-write",
        "so8t-clean-finish",
    ]
    tasks = len(here["dataset"]["files"])
    assert f"#SBATCH --array=0-{tasks - 1}%3" in scripts[0]
    for script in scripts:
        assert {"#SBATCH --partition=cpu", "#SBATCH --time=01:30:00", "#SBATCH --account=poc"} <= set(
            script.splitlines()
        )
    arguments = (tmp_path / "submitted.arguments").read_text().splitlines()
    assert "--dependency" not in arguments[0]
    assert all("--dependency=afterok:42" in line for line in arguments[1:])

    there = read_statement(out)
    assert there["cleaning"] == here["cleaning"]
    assert there["dataset"]["files"] == here["dataset"]["files"]


def test_what_is_done_is_not_submitted_again(tmp_path, many, clean, cluster):
    clean(many, out=tmp_path / "out")
    statement = run_cleaning(
        many, tmp_path / "out", SETTINGS, SlurmRunner(3, Slurm("cpu", "1:00")), SafetyClassifier.load
    )
    assert list(cluster.iterdir()) == []
    assert statement == read_statement(tmp_path / "out")


def test_a_machine_without_slurm_is_named(tmp_path, many, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(So8tError, match="sbatch is not here: submit from a machine of the Slurm cluster"):
        run_cleaning(many, tmp_path / "out", SETTINGS, SlurmRunner(3, Slurm("cpu", "1:00")), SafetyClassifier.load)


def test_a_refusal_of_the_cluster_is_one_line(tmp_path, many, cluster):
    (tmp_path / "bin" / "sbatch").write_text("#!/bin/bash\nexit 3\n")
    with pytest.raises(So8tError, match=r"sbatch refused pass clean \(exit code 3\)"):
        run_cleaning(many, tmp_path / "out", SETTINGS, SlurmRunner(3, Slurm("cpu", "1:00")), SafetyClassifier.load)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "default"
)  # datatrove asks Ray by names that Ray warns about, in a thread that must not fail
def test_ray_writes_the_same_bytes_as_this_machine(tmp_path, many, clean):
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    here = clean(many, out=tmp_path / "here", load=SafetyClassifier.load)
    there = run_cleaning(many, tmp_path / "ray", SETTINGS, RayRunner(2), SafetyClassifier.load)
    assert there is not None
    assert there["dataset"]["files"] == here["dataset"]["files"]
    assert there["cleaning"] == here["cleaning"]
    assert not ray.is_initialized()
