"""One training run, from settings to a run folder that can be handed on.

Everything that can be wrong with the input is found before the first byte is written. Then an earlier run in the
folder is set aside, the trainer trains and records, and the final model is saved.
"""

import contextlib
import traceback
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from transformers import PrinterCallback

from kiseki import KisekiError
from so8t.data.dataset import ThinkingCollator
from so8t.errors import JobFailed, So8tError
from so8t.training.agreement import Agreement
from so8t.training.checkpoints import checkpoint_step, write_manifest
from so8t.training.config_keys import Config
from so8t.training.console import ProgressCallback
from so8t.training.console_texts import Language, text
from so8t.training.earlier import FINAL
from so8t.training.exposure import ExposureCallback
from so8t.training.finishing import Submission, already_trained, finish, save_final
from so8t.training.finiteness import NonFinite, recorded_non_finite, warning_at_end
from so8t.training.forced import ForcedResume
from so8t.training.job_folder import ERROR_LOG, locked_folder, make_way, require_standing, standing
from so8t.training.loading import Tell, first_line
from so8t.training.preflight import check_inputs
from so8t.training.prepare import Prepared, prepare
from so8t.training.recovery import resolve_resume, shown_differences
from so8t.training.reporting import recorder_options, report_inputs
from so8t.training.session import SessionCallback, SessionFile, read_session
from so8t.training.stopping import LAUNCHER_SECONDS, StopCallback, StopRequest
from so8t.training.timed_checkpoints import TimedCheckpoints
from so8t.training.trainer import SO8TPETTrainer
from so8t.training.weights import WeightsCallback


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
    stood = standing(output_dir)
    checkpoint = resolve_resume(
        resume, output_dir, gates=config.so8t.enabled, force=force, tell=tell, language=config.poc.language
    )
    prepared = prepare(config, output_dir, train_file, checkpoint, tell, force=force)
    if prepared.overridden:
        tell(text("forced", config.poc.language, differences=shown_differences(prepared.overridden)))
    if not prepared.arguments.should_save:  # not the first rank: it trains along and writes nothing
        return _train(prepared, None, console, tell)
    with locked_folder(output_dir):
        if resume != "none":
            require_standing(output_dir, stood)
        # Other settings may mean more steps.
        done = checkpoint is not None and not prepared.overridden and already_trained(checkpoint)
        if not done:
            make_way(prepared, tell)
        session = SessionFile(
            output_dir,
            model=Path(str(config.model.base_model)).name,
            dataset=train_file.name,
            session_id=prepared.origin.session_id,
            resume=checkpoint is not None,
        )
        return _finish(prepared, session, tell) if done else _train(prepared, session, console, tell)


def _finish(prepared: Prepared, session: SessionFile, tell: Tell) -> JobResult:
    """Nothing is left to train; make what is missing of the rest."""
    checkpoint, run_dir, config = prepared.checkpoint, prepared.run_dir, prepared.config
    assert checkpoint is not None
    tell(text("nothing_left", config.poc.language, checkpoint=checkpoint.name))
    before = read_session(session.path)
    completed = before is not None and before.status == "completed"
    report = finish(
        run_dir,
        checkpoint,
        record=config.training.save_metrics,
        completed=completed,
        recorder_options=recorder_options(config),
    )
    step = checkpoint_step(checkpoint) or 0
    if not completed:
        session.begin(step, step)
        session.end("completed")
    result = JobResult("completed", run_dir)
    if config.training.save_metrics:
        _warn(recorded_non_finite(run_dir), result, step, config.poc.language, tell)
    return _handed_over(result, report, config.poc.language, tell)


def _train(prepared: Prepared, session: SessionFile | None, console: Console, tell: Tell) -> JobResult:
    several = prepared.arguments.world_size > 1
    language = prepared.config.poc.language
    with StopRequest(echo_seconds=LAUNCHER_SECONDS if several else 0.0, language=language) as stop:
        trainer = _trainer(prepared, stop)
        progress = _progress(trainer, prepared, console)
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
    tell(text(result.status, language, step=step, total=total, model=prepared.run_dir / FINAL))
    recorded = prepared.config.training.save_metrics
    _warn(recorded_non_finite(result.run_dir) if recorded else progress.non_finite, result, step, language, tell)
    return _handed_over(result, trainer.report_path, language, tell)


def _progress(trainer: SO8TPETTrainer, prepared: Prepared, console: Console) -> ProgressCallback:
    def recorded() -> NonFinite | None:
        if trainer.recording is None:
            return None
        found = recorded_non_finite(prepared.run_dir)
        if found is None and trainer.accelerator.num_processes == 1:  # a window over ranks takes all of them to read
            step = trainer.recording.window.read().totals.first_non_finite_step
            found = NonFinite(None, (step, step)) if step else None
        return found

    return ProgressCallback(
        console, prepared.config.poc.language, evaluated=lambda: trainer.evaluated, recorded=recorded
    )


def _add_callbacks(
    trainer: SO8TPETTrainer,
    prepared: Prepared,
    session: SessionFile | None,
    stop: StopRequest,
    progress: ProgressCallback,
    tell: Tell,
) -> None:
    """What asks all ranks comes first and on all of them, in the same order."""
    minutes, language = prepared.config.training.save_minutes, prepared.config.poc.language
    agreement = Agreement()
    trainer.add_callback(StopCallback(stop, agreement.largest))
    if minutes is not None:
        trainer.add_callback(TimedCheckpoints(minutes, agreement.largest))
    trainer.remove_callback(PrinterCallback)
    if prepared.overridden:  # before those that speak of settings
        trainer.add_callback(ForcedResume(prepared.overridden, trainer))
    trainer.add_callback(progress)
    trainer.add_callback(ExposureCallback(tell, minutes, language))
    trainer.add_callback(
        WeightsCallback(
            base_name=Path(str(prepared.config.model.base_model)).name,
            base=prepared.base,
            run_dir=prepared.run_dir,
            recorder=lambda: trainer.recorder,
            save_final=lambda: _save_final(trainer, prepared),
            finished=lambda: stop.reason is None,
        )
    )
    if session is not None:
        trainer.add_callback(SessionCallback(session))
        if not prepared.config.training.save_metrics:
            tell(text("no_metrics", language))


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
    """Write the traceback down, or say it where the disk does not take it, and say in one line what happened."""
    log = run_dir / ERROR_LOG
    details = str(log)
    try:
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8", newline="\n")
    except OSError as refused:
        with contextlib.suppress(OSError):
            log.unlink(missing_ok=True)  # an empty file would say that there is nothing to say
        traceback.print_exception(error)
        details = f"above ({log} cannot be written: {refused.strerror or refused})"
    report = f"; record and report (status failed) stand: {trainer.report_path}" if trainer.report_path else ""
    return JobFailed(
        f"training failed after step {trainer.state.global_step} ({type(error).__name__}: {first_line(error)}); "
        f"details: {details}{report}; when the cause is mended, go on with --resume-from-checkpoint auto"
    )


def _warn(found: NonFinite | None, result: JobResult, step: int, language: Language, tell: Tell) -> None:
    if found is not None:
        tell(warning_at_end(found, result.run_dir, step, language, completed=result.status == "completed"))


def _handed_over(result: JobResult, report: Path | None, language: Language, tell: Tell) -> JobResult:
    """Name the files to submit."""
    if report is None:
        return result
    submission = Submission.of(result.run_dir, report)
    submission.listed(tell, language)
    return JobResult(result.status, result.run_dir, submission, result.exit_code)
