"""One training run, from settings to a run folder that can be handed on.

Everything that can be wrong with the input is found before the first byte is written. Then an earlier run in the
folder is set aside, the trainer trains and records, and the final model is saved.
"""

import contextlib
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from transformers import PrinterCallback

from kiseki import KisekiError, RunLocked
from kiseki.filesystem import FileLock
from so8t.data.dataset import ThinkingCollator
from so8t.errors import JobFailed, So8tError
from so8t.training.agreement import Agreement
from so8t.training.checkpoints import CHECKPOINTS, checkpoint_step, write_manifest
from so8t.training.config_keys import Config
from so8t.training.console import ProgressCallback
from so8t.training.earlier import FINAL, set_aside_later, set_aside_run
from so8t.training.exposure import ExposureCallback
from so8t.training.finishing import Submission, already_trained, finish, save_final
from so8t.training.forced import ForcedResume
from so8t.training.loading import Tell, first_line
from so8t.training.preflight import check_inputs
from so8t.training.prepare import Prepared, prepare
from so8t.training.recovery import resolve_resume, shown_differences
from so8t.training.reporting import recorder_options, report_inputs
from so8t.training.session import SESSION_FILE, SessionCallback, SessionFile, read_session
from so8t.training.stopping import LAUNCHER_SECONDS, StopCallback, StopRequest
from so8t.training.timed_checkpoints import TimedCheckpoints
from so8t.training.trainer import SO8TPETTrainer
from so8t.training.weights import WeightsCallback

ERROR_LOG = "training_error.log"
LOCK_FILE = "training.lock"


@dataclass(frozen=True)
class JobResult:
    """What a run left.

    Attributes:
        status: completed or interrupted.
        run_dir: the run folder.
        submission: the report's files; None where metrics are not recorded.
        exit_code: 0, or 128 and the number of the signal that ended training.
    """

    status: str
    run_dir: Path
    submission: Submission | None = None
    exit_code: int = 0


def run_training(
    config: Config, *, output_dir: Path, resume: str = "none", force: bool = False, console: Console
) -> JobResult:
    """Train as the settings say.

    Args:
        config: the settings.
        output_dir: the run folder.
        resume: ``none`` for a new run (an earlier one in the folder is set aside whole), ``auto`` to go on from the
            newest complete checkpoint, or the path of one.
        force: go on although the checkpoint is of other settings or other data; the record and its report say so.
        console: where progress and the files to submit are told.

    Returns:
        What the run left.

    Raises:
        So8tError: the input is wrong (exit code 2; nothing was written), or training failed (`JobFailed`, 1).
        KisekiError: the run folder is in use, or its record cannot be continued.
    """

    def tell(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    train_file = check_inputs(config, output_dir)
    checkpoint = resolve_resume(resume, output_dir, gates=config.so8t.enabled, tell=tell)
    prepared = prepare(config, output_dir, train_file, checkpoint, tell, force=force)
    if prepared.overridden:
        tell(f"--force: training goes on under other settings: {shown_differences(prepared.overridden)}")
    if not prepared.arguments.should_save:  # not the first rank: it trains along and writes nothing
        return _train(prepared, None, console, tell)
    with _locked_folder(output_dir):
        # Other settings may mean more steps.
        done = checkpoint is not None and not prepared.overridden and already_trained(checkpoint)
        if not done:
            _make_way(prepared, tell)
        session = SessionFile(
            output_dir,
            model=Path(str(config.model.base_model)).name,
            dataset=train_file.name,
            session_id=prepared.origin.session_id,
            resume=checkpoint is not None,
        )
        return _finish(prepared, session, tell) if done else _train(prepared, session, console, tell)


@contextlib.contextmanager
def _locked_folder(run_dir: Path) -> Iterator[None]:
    """The run folder, made where there is none, and locked: two jobs must not move each other's checkpoints."""
    lock = FileLock(run_dir / LOCK_FILE)
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        free = lock.acquire()
    except OSError as error:
        raise So8tError(
            f"output folder {run_dir} cannot be written ({error.strerror or error}): "
            "check permissions and free disk, or choose another folder with --output-dir"
        ) from error
    if not free:
        raise RunLocked(
            f"{run_dir}: another process is training into this folder now: "
            "wait for it to end, or choose another folder with --output-dir"
        )
    try:
        yield
    finally:
        lock.release()


def _make_way(prepared: Prepared, tell: Tell) -> None:
    """Set aside what a new run, or one that goes on, must not find."""
    run_dir, checkpoint = prepared.run_dir, prepared.checkpoint
    if checkpoint is not None:
        step = checkpoint_step(checkpoint) or 0
        aside = set_aside_later(run_dir, step, prepared.origin.session_id)
        if aside is not None:
            tell(f"checkpoints beyond step {step} now stand in {aside}")
        tell(f"training goes on from {checkpoint}")
        return
    earlier = read_session(run_dir / SESSION_FILE)
    logits = Path(prepared.config.training.save_logits_dir)
    ours = bool(logits.parts) and not logits.is_absolute() and ".." not in logits.parts
    names = [CHECKPOINTS, FINAL, ERROR_LOG, SESSION_FILE, *([str(logits)] if ours else [])]
    aside = set_aside_run(run_dir, earlier.session_id if earlier else "unnamed", names)
    if aside is not None:
        tell(f"an earlier run's checkpoints and model now stand in {aside}: a new run begins")


def _finish(prepared: Prepared, session: SessionFile, tell: Tell) -> JobResult:
    """Nothing is left to train; make what is missing of the rest."""
    checkpoint, run_dir, config = prepared.checkpoint, prepared.run_dir, prepared.config
    assert checkpoint is not None
    tell(f"{checkpoint.name} is the last step of this run: nothing is left to train")
    before = read_session(session.path)
    completed = before is not None and before.status == "completed"
    report = finish(
        run_dir,
        checkpoint,
        record=config.training.save_metrics,
        completed=completed,
        recorder_options=recorder_options(config),
    )
    if not completed:
        step = checkpoint_step(checkpoint) or 0
        session.begin(step, step)
        session.end("completed")
    return _handed_over(JobResult("completed", run_dir), report, tell)


def _train(prepared: Prepared, session: SessionFile | None, console: Console, tell: Tell) -> JobResult:
    several = prepared.arguments.world_size > 1
    with StopRequest(echo_seconds=LAUNCHER_SECONDS if several else 0.0) as stop:
        trainer = _trainer(prepared, stop)
        progress = ProgressCallback(console)
        _add_callbacks(trainer, prepared, session, stop, progress, tell)
        try:
            orderly = _trained(trainer, prepared, session)
        finally:
            progress.close()
        finished = orderly and stop.reason is None
        if session is not None:
            session.end("completed" if finished else "interrupted")
        if orderly and several:
            # A launcher ends the ranks that are left as soon as one is gone, and the first one has a report to write.
            trainer.accelerator.wait_for_everyone()
    result = JobResult(
        "completed" if finished else "interrupted", prepared.run_dir, exit_code=0 if finished else stop.exit_code or 130
    )
    if session is None:
        return result
    step, total = trainer.state.global_step, trainer.state.max_steps
    if finished:
        tell(f"完了 / completed: {step} of {total} steps; model: {prepared.run_dir / FINAL}")
    else:
        tell(f"中断 / interrupted after step {step} of {total}; to go on: --resume-from-checkpoint auto")
    return _handed_over(result, trainer.report_path, tell)


def _add_callbacks(
    trainer: SO8TPETTrainer,
    prepared: Prepared,
    session: SessionFile | None,
    stop: StopRequest,
    progress: ProgressCallback,
    tell: Tell,
) -> None:
    """What asks all ranks comes first and on all of them, in the same order."""
    minutes = prepared.config.training.save_minutes
    agreement = Agreement()
    trainer.add_callback(StopCallback(stop, agreement.largest))
    if minutes is not None:
        trainer.add_callback(TimedCheckpoints(minutes, agreement.largest))
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(progress)
    trainer.add_callback(ExposureCallback(tell, minutes))
    if prepared.overridden:
        trainer.add_callback(ForcedResume(prepared.overridden, prepared.run_dir, lambda: trainer.recorder))
    trainer.add_callback(
        WeightsCallback(
            base=Path(str(prepared.config.model.base_model)),
            run_dir=prepared.run_dir,
            recorder=lambda: trainer.recorder,
            save_final=lambda: _save_final(trainer, prepared),
            finished=lambda: stop.reason is None,
            tell=tell,
        )
    )
    if session is not None:
        trainer.add_callback(SessionCallback(session))
        if not prepared.config.training.save_metrics:
            tell("training.save_metrics is false: no metrics, no curves and no report are made")


def _save_final(trainer: SO8TPETTrainer, prepared: Prepared) -> None:
    """On all ranks together: where FSDP has split the model, they meet to bring it into one."""
    whole_state = trainer.accelerator.get_state_dict(trainer.model) if trainer.is_fsdp_enabled else None
    if prepared.arguments.should_save:
        save_final(trainer.accelerator.unwrap_model(trainer.model), prepared.tokenizer, prepared.run_dir, whole_state)


def _trained(trainer: SO8TPETTrainer, prepared: Prepared, session: SessionFile | None) -> bool:
    """Train; False when it was broken off in the middle of a step.

    Raises:
        JobFailed: training failed; it is written down.
    """
    try:
        trainer.train(resume_from_checkpoint=str(prepared.checkpoint) if prepared.checkpoint else None)
    except (KisekiError, So8tError):
        if session is not None and session.begun:
            session.end("failed")
        raise
    except KeyboardInterrupt:
        return False
    except Exception as error:  # the training boundary: whatever it is, it is written down and told
        if session is not None:
            session.end("failed")
        raise _failed(error, trainer, prepared.run_dir) from error
    return True


def _trainer(prepared: Prepared, stop: StopRequest) -> SO8TPETTrainer:
    config = prepared.config
    training = config.training
    return SO8TPETTrainer(
        model=prepared.model,
        args=prepared.arguments,
        train_dataset=prepared.data["train"],
        eval_dataset=prepared.data.get("eval"),
        data_collator=ThinkingCollator.of(prepared.tokenizer),
        processing_class=prepared.tokenizer,
        pet_regularization=msgspec.to_builtins(config.pet),
        orthogonal_reg=config.so8t.orthogonal_reg,
        rotation_reg=config.so8t.rotation_reg,
        gate_lr_factor=config.so8t.gate_lr_factor,
        save_metrics=training.save_metrics,
        save_metrics_steps=training.save_metrics_steps,
        save_logits=training.save_logits,
        save_logits_steps=training.save_logits_steps,
        save_logits_dir=training.save_logits_dir,
        save_logits_max_files=training.save_logits_max_files,
        recorder_options=recorder_options(config, prepared.origin.session_id, force=bool(prepared.overridden)),
        report_inputs=lambda trainer: report_inputs(
            config, trainer.model, prepared.arguments, {name: data.facts for name, data in prepared.data.items()}
        ),
        stop_request=stop,
        checkpoint_written=lambda folder: write_manifest(folder, prepared.origin),
    )


def _failed(error: Exception, trainer: SO8TPETTrainer, run_dir: Path) -> JobFailed:
    """Write the traceback down, and say in one line what happened."""
    log = run_dir / ERROR_LOG
    with contextlib.suppress(OSError):
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8", newline="\n")
    report = f"; record and report (status failed) stand: {trainer.report_path}" if trainer.report_path else ""
    return JobFailed(
        f"training failed after step {trainer.state.global_step} ({type(error).__name__}: {first_line(error)}); "
        f"details: {log}{report}; when the cause is mended, go on with --resume-from-checkpoint auto"
    )


def _handed_over(result: JobResult, report: Path | None, tell: Tell) -> JobResult:
    """Name the files to submit."""
    if report is None:
        return result
    submission = Submission.of(result.run_dir, report)
    submission.listed(tell)
    return JobResult(result.status, result.run_dir, submission, result.exit_code)
