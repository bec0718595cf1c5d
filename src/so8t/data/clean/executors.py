"""The same pipeline here, on a Slurm cluster or on Ray, by datatrove's executors."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.executor.ray import RayPipelineExecutor
from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from loguru import logger

from so8t.errors import So8tError


@dataclass(frozen=True)
class Pass:
    """One pass over the data.

    Attributes:
        name: of the pass.
        blocks: in order.
        tasks: number of tasks.
        logging: folder for statistics and completion markers.
    """

    name: str
    blocks: Sequence[PipelineStep]
    tasks: int
    logging: Path

    def done(self) -> int:
        """How many tasks are done."""
        return sum(1 for _ in (self.logging / "completions").glob("*"))


class Runner(Protocol):
    """Where the passes run."""

    def run(self, passes: Sequence[Pass]) -> None:
        """Run them in order, or hand them over to be run."""


@dataclass(frozen=True)
class Slurm:
    """What a cluster wants to know.

    Attributes:
        partition: where to run.
        time: limit of a task, for example "04:00:00".
        arguments: further ones of `sbatch`, by name.
    """

    partition: str
    time: str
    arguments: dict[str, str] = field(default_factory=dict)


class _Silent:
    """datatrove logs what it does and, on an error, every variable's value: texts, that is. So it logs nothing."""

    def _run_for_rank(self, *arguments: Any, **named: Any) -> Any:
        logger.disable("datatrove")
        return super()._run_for_rank(*arguments, **named)  # type: ignore[misc]


class _Local(_Silent, LocalPipelineExecutor):  # type: ignore[misc]
    pass


class _Ray(_Silent, RayPipelineExecutor):  # type: ignore[misc]
    pass


class _Slurm(_Silent, SlurmPipelineExecutor):  # type: ignore[misc]
    def launch_merge_stats(self) -> None:
        """Nothing: the last pass adds up."""


@contextmanager
def silence() -> Iterator[None]:
    """datatrove says nothing meanwhile."""
    logger.disable("datatrove")
    try:
        yield
    finally:
        logger.enable("datatrove")


_START_METHOD = "spawn" if sys.platform == "win32" else "forkserver"


class LocalRunner:
    """Runs the passes on this machine.

    Args:
        workers: processes.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def run(self, passes: Sequence[Pass]) -> None:
        """Run them; returns when all is done."""
        for one in passes:
            with silence():
                _Local(
                    list(one.blocks),
                    tasks=one.tasks,
                    workers=min(self._workers, one.tasks),
                    logging_dir=str(one.logging),
                    start_method=_START_METHOD,
                ).run()


class RayRunner:
    """Runs the passes on the Ray cluster of RAY_ADDRESS, or on one started on this machine.

    Args:
        workers: tasks at a time.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def run(self, passes: Sequence[Pass]) -> None:
        """Run them; returns when all is done.

        Raises:
            So8tError: Ray is not installed, or a task failed again and again.
        """
        try:
            import ray
        except ModuleNotFoundError:
            raise So8tError("--executor ray needs Ray: pip install ray") from None
        started = not ray.is_initialized()
        if started:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        try:
            for one in passes:
                with silence():
                    _Ray(
                        list(one.blocks),
                        tasks=one.tasks,
                        workers=self._workers,
                        mem_per_cpu_gb=1,
                        logging_dir=str(one.logging),
                    ).run()
                if one.done() < one.tasks:
                    raise So8tError(
                        f"pass {one.name}: {one.tasks - one.done()} of {one.tasks} tasks failed on Ray; see the "
                        f"workers' logs, then run the same command again: it goes on where it stopped"
                    )
        finally:
            if started:
                ray.shutdown()


class SlurmRunner:
    """Submits the passes to Slurm, each to begin when the one before it is done.

    Args:
        workers: tasks at a time.
        slurm: what the cluster wants to know.
    """

    def __init__(self, workers: int, slurm: Slurm) -> None:
        self._workers = workers
        self._slurm = slurm

    def run(self, passes: Sequence[Pass]) -> None:
        """Submit them; returns when the last is submitted.

        Raises:
            So8tError: there is no `sbatch`, or it refuses.
        """
        before: _Slurm | None = None
        for one in passes:
            job = _Slurm(
                list(one.blocks),
                tasks=one.tasks,
                time=self._slurm.time,
                partition=self._slurm.partition,
                workers=self._workers,
                job_name=f"so8t-clean-{one.name}",
                qos=None,
                env_command=f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH",
                sbatch_args=dict(self._slurm.arguments),
                logging_dir=str(one.logging),
                depends=before,
            )
            try:
                with silence():
                    job.run()
            except FileNotFoundError as error:
                raise So8tError(f"{error.filename} is not here: submit from a machine of the Slurm cluster") from None
            except subprocess.CalledProcessError as error:
                raise So8tError(
                    f"sbatch refused pass {one.name} (exit code {error.returncode}); what it said stands above"
                ) from None
            before = job
