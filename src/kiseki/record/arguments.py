"""From the arguments of a recorder to the intent of its attempt: checked before anything is touched."""

from collections.abc import Callable, Mapping
from typing import Any

from kiseki.errors import UsageError
from kiseki.record.attempt import Intent
from kiseki.record.row import LARGEST_STEP

_RUN_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def checked_intent(
    *,
    rank: int,
    model_name: str,
    language: str,
    save_interval: int,
    outputs: Mapping[str, bool],
    max_steps: int | None,
    nonce: str | None,
    criteria: tuple[list[dict[str, Any]], str] | None,
    config: Mapping[str, Any] | None,
    environment: Callable[[], Mapping[str, Any]],
    resume_step: int | None,
    run_id: str | None,
    allow_config_change: bool,
) -> Intent:
    """What is to be recorded about an attempt. The names are the recorder's own, where they are explained.

    Args:
        rank: 0 says everything; another rank says in its `open` line which one it is, and keeps no side files.
        model_name: as reports name the model.
        language: `en` or `ja`.
        save_interval: optimizer steps, from 1.
        outputs: which views are made, by name.
        max_steps: optimizer steps, from 0.
        nonce: a text from the partner.
        criteria: the success criteria as JSON objects, and their digest.
        config: the full configuration.
        environment: describes this machine.
        resume_step: optimizer step, from 0.
        run_id: 1 to 100 letters, digits, `._-`.
        allow_config_change: resume although the configuration is another.

    Raises:
        UsageError: naming the argument, its value and what was expected.
    """
    _require_whole("save_interval", save_interval, least=1)
    for name, value in (("resume_step", resume_step), ("max_steps", max_steps), ("rank", rank)):
        if value is not None:
            _require_whole(name, value, least=0)
    _require_run_id(run_id)
    if language not in ("en", "ja"):
        raise UsageError(f"language: {language!r} is not one of 'en', 'ja'")
    # in the order in which they stand in the `open` line
    facts: dict[str, Any] = {
        "language": language,
        "save_interval": save_interval,
        "outputs": outputs,
        "max_steps": max_steps,
        "nonce": nonce,
    }
    if criteria is not None:
        facts["criteria"], facts["criteria_sha256"] = criteria
    public = {name: value for name, value in facts.items() if value is not None}
    return Intent(
        model_name=model_name,
        public=public if rank == 0 else {"rank": rank},
        config=config if rank == 0 else None,
        environment=environment if rank == 0 else None,
        resume_step=resume_step,
        run_id=run_id,
        allow_config_change=allow_config_change,
    )


def _require_whole(name: str, value: object, *, least: int) -> None:
    if type(value) is not int or not least <= value <= LARGEST_STEP:
        raise UsageError(f"{name}: {value!r} is not a whole number from {least}")


def _require_run_id(run_id: str | None) -> None:
    if run_id is None:
        return
    if not 1 <= len(run_id) <= 100 or not set(run_id) <= _RUN_ID_CHARACTERS or run_id.startswith("."):
        raise UsageError(f"run_id: {run_id!r:.120} is not 1 to 100 letters, digits, '.', '_' and '-'")
