"""Dossiers of real recordings, one of each kind that a report must get right."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kiseki import TrainingMetricsRecorder
from kiseki.record.side_files import write_side_file
from kiseki.report.document import Document, Section
from kiseki.report.dossier import Dossier, gather
from kiseki.report.sections import build_document
from kiseki.run_folder import RunFolder

NOW = datetime(2026, 11, 23, 18, 7, 8, tzinfo=UTC)
HOSTILE = ("<script>alert(1)</script>", "line\nbreak", "\u202egnp.exe", "評価" * 60)
POC: Mapping[str, Any] = {
    "title": "検証の件名 7",
    "author": "作成 花子",
    "approver": "承認 太郎",
    "recipient": "宛先株式会社",
    "contact": "contact@example.org",
    "version": "1.2",
    "contract": ["導入検証契約 2026-3"],
    "background": ["背景の一", "背景の二"],
    "purpose": "目的の文\n二行目",
    "scope": "範囲の文",
    "prerequisites": ["前提の一", "前提の二"],
    "constraints": "制約の文",
    "data_policy": "収集方針の文",
    "personal_data": "個人情報の文",
    "safety": "安全の文",
    "considerations": "考察の文",
    "risks": ["リスクの文"],
    "next_steps": "課題の文",
    "production_conditions": "移行条件の文",
    "confidentiality": "partner",
    "power_watts": 120.0,
    "co2_grams_per_kwh": 430.0,
    "co2_source": "係数の出典",
    "location": "東京",
}
CONFIG: Mapping[str, Any] = {
    "model": {"base_model": "models/tiny-phi3"},
    "data": {"max_seq_length": 512, "robots": "honoured", "names": ["corpus"]},
    "pet": {"enabled": True, "lambda_exploration": 0.01, "exploration_ratio": 0.2},
    "training": {
        "learning_rate": 5e-3, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 4, "bf16": False,
        "fp16": False, "seed": 42, "save_logits": False, "warmup_ratio": 0.1,
    },
}  # fmt: skip
LIVE: Mapping[str, Any] = {
    "total_parameters": 1043328,
    "trainable_parameters": 59136,
    "gate_layers": [0, 1],
    "ranks": 2,
    "training": {"learning_rate": 4e-3},
    "data": {
        "train": {"records": 250, "kept": 248, "tokens": 49686, "sha256": "e1" * 32, "licences": {"CC0-1.0": 250}},
        "eval": {"records": 44, "kept": 44, "assistant_tokens": 5670, "sha256": "e6" * 32, "labels": {"ALLOW": 44}},
    },
}
CRITERIA: Sequence[Mapping[str, Any]] = (
    {"metric": "eval_loss", "operator": "<", "threshold": 5.0, "when": "last_evaluation", "description": "評価損失"},
    {"metric": "loss", "operator": "<", "threshold": 0.5, "when": "best"},
    {"metric": "bleu", "operator": ">=", "threshold": 30.0},
)


@pytest.fixture(scope="session")
def poc() -> Mapping[str, Any]:
    """What the author of the run `full` states."""
    return POC


@pytest.fixture(scope="session")
def hostile() -> Sequence[str]:
    """Names of metrics that someone chose to do harm, in the run `forty_metrics`."""
    return HOSTILE


@pytest.fixture(scope="session")
def dossiers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Dossier]:
    """Every kind of run by name, recorded by the real recorder."""
    root = tmp_path_factory.mktemp("runs")
    return {kind: _gathered(record, root / kind) for kind, record in RECORDINGS.items()}


@pytest.fixture(scope="session")
def documents(dossiers: Mapping[str, Dossier]) -> Mapping[tuple[str, str], Document]:
    """Every kind of run in both languages."""
    return {
        (kind, language): build_document(dossier, language)
        for kind, dossier in dossiers.items()
        for language in ("ja", "en")
    }


def _gathered(record: Callable[[Path], None], root: Path) -> Dossier:
    record(root)
    return gather(RunFolder(root), now=NOW)


def recorder(root: Path, **options: Any) -> TrainingMetricsRecorder:
    """A recorder that works in this process and draws nothing; closed by itself, it makes no report."""
    return TrainingMetricsRecorder(root, model_name="tiny", companion=False, save_plots=False, **options)


def train(
    run: TrainingMetricsRecorder, steps: Sequence[int], loss: Callable[[int], float] = lambda step: 8 - step / 25
) -> None:
    """Record a row for each step, and an evaluation at every second."""
    for place, step in enumerate(steps):
        value = loss(step)
        run.record_step(
            step=step, epoch=step / 32, loss=value, learning_rate=4e-3 / step, pet_loss=0.013, so8t_loss=1.7e-18,
            accuracy=step / 500, perplexity=math.exp(min(value, 20.0)), grad_norm=0.5, lm_loss=value - 0.013,
            tokens_seen=step * 1500, tokens_per_second=5032.8, peak_memory_bytes=522743808, window_steps=10,
        )  # fmt: skip
        if place % 2:
            run.record_evaluation(step=step, epoch=step / 32, eval_loss=value + 0.1, eval_accuracy=step / 600)


def full(root: Path) -> None:
    """Everything stated, criteria of each verdict, phases, the live model's facts."""
    with closing(recorder(root, config={**CONFIG, "poc": POC}, criteria=CRITERIA, max_steps=100, language="ja")) as run:
        run.mark("phase", name="exploration", step=1)
        run.mark("phase", name="own phase", step=31)
        run.mark(
            "weights", role="final", name="final", files={"model.safetensors": {"bytes": 417, "sha256": "ab" * 32}}
        )
        train(run, range(10, 101, 10))
        inputs = {
            "model_config": {"model": CONFIG["model"]},
            "training_config": {**CONFIG, "poc": POC},
            "final_metrics": {"train_runtime": 43.3},
            "live": LIVE,
        }
        path = run.folder.side_file("report_inputs", 1)
        run.mark("report_inputs", file=path.name, sha256=write_side_file(path, "report_inputs", inputs))


def bare(root: Path) -> None:
    """Nothing stated, nothing configured."""
    with closing(recorder(root)) as run:
        run.record_step(step=1, loss=2.0)
        run.record_step(step=2, loss=1.5)


def empty(root: Path) -> None:
    """A run that ended before its first row."""
    recorder(root, max_steps=100, criteria=CRITERIA).close("failed", error="out of memory")


def one_step(root: Path) -> None:
    """A single row."""
    with closing(recorder(root, max_steps=1)) as run:
        run.record_step(step=1, epoch=0.1, loss=2.5, learning_rate=1e-4)


def diverged(root: Path) -> None:
    """NaN and infinity."""
    with closing(recorder(root, criteria=CRITERIA)) as run:
        run.mark("non_finite", step=51, steps=2)
        train(run, range(10, 101, 10), lambda step: math.nan if step > 60 else math.inf if step == 40 else 3.0)
        run.record_evaluation(step=100, eval_loss=math.nan)


def two_attempts(root: Path) -> None:
    """Cut off after step 60, resumed from step 40, with a gap and a warning."""
    first = recorder(root, config=CONFIG, max_steps=100)
    first.mark("phase", name="exploration", step=1)
    first.mark("phase", name="transition", step=51)
    train(first, range(10, 61, 10))
    first.close("interrupted", error="KeyboardInterrupt")
    with closing(recorder(root, config=CONFIG, max_steps=100, resume_step=40)) as run:
        run.mark("phase", name="transition", step=55)
        run.mark("warning", text="the data set changed 3 times")
        train(run, (50, 80, 90))


def forty_metrics(root: Path) -> None:
    """Forty metrics beside the known ones, eight of them of layers, some with hostile names."""
    layers = {f"so8t/layer_{layer}/rotation_angle": 0.1 * layer for layer in range(8)}
    others = {f"metric {number}": float(number) for number in range(40)}
    hostile = dict.fromkeys(HOSTILE, 1.25)
    with closing(recorder(root)) as run:
        for step in (10, 20, 30):
            run.record_step(step=step, loss=2.0, **layers, **others, **hostile)
        run.record_evaluation(step=30, loss=2.25, **{f"eval_task {number}": 0.5 for number in range(12)})


def no_evaluation(root: Path) -> None:
    """A criterion that was never measured, because nothing was evaluated."""
    with closing(recorder(root, criteria=CRITERIA[:1], max_steps=30)) as run:
        run.record_step(step=10, loss=2.0)
        run.record_step(step=30, loss=1.0)


def all_met(root: Path) -> None:
    """Go."""
    with closing(recorder(root, criteria=[{"metric": "loss", "operator": "<", "threshold": 2.0}])) as run:
        run.record_step(step=10, loss=1.9999999)


def interrupted(root: Path) -> None:
    """Met, but not to its end."""
    run = recorder(root, criteria=[{"metric": "loss", "operator": "<", "threshold": 2.0}], max_steps=100)
    run.record_step(step=10, loss=1.0)
    run.close("interrupted")


RECORDINGS: Mapping[str, Callable[[Path], None]] = {
    record.__name__: record
    for record in (
        full, bare, empty, one_step, diverged, two_attempts, forty_metrics, no_evaluation, all_met, interrupted
    )
}  # fmt: skip


@pytest.fixture(scope="session")
def strings() -> Callable[[object], list[str]]:
    """Every text a reader can see in a part of a document."""
    return lambda value: list(_strings(value))


@pytest.fixture(scope="session")
def text_of() -> Callable[[object], str]:
    """The same, line by line."""
    return lambda value: "\n".join(_strings(value))


@pytest.fixture(scope="session")
def section() -> Callable[[Document, str], Section]:
    """The section of a key, wherever it stands."""
    return lambda document, key: next(found for found in document.walk() if found.key == key)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _strings(inner)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            if field.name not in ("key", "tone", "tones", "language"):
                yield from _strings(getattr(value, field.name))
