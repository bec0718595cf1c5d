"""How the model was trained, as the Trainer's own cards say it: hyperparameters, results table, framework versions."""

from collections.abc import Iterator, Mapping
from typing import Any

from kiseki.report.card.table import ROWS_SHOWN, cell, evenly, hyperparameters, markdown_table, results_lines
from kiseki.report.dossier import Dossier
from kiseki.report.effective import leaves
from kiseki.report.sections.given import lookup, processes, value_text
from kiseki.report.sections.numbers import integer
from kiseki.report.sections.wording import Speaker

_FRAMEWORKS = {
    "peft": "PEFT",
    "transformers": "Transformers",
    "torch": "Pytorch",
    "datasets": "Datasets",
    "tokenizers": "Tokenizers",
    "accelerate": "Accelerate",
    "kiseki": "kiseki",
}
_TRAINING_ROWS_SHOWN = 20


def procedure(dossier: Dossier, say: Speaker) -> Iterator[str]:
    """The section, block by block."""
    yield f"## {say(ja='学習条件', en='Training procedure')}"
    yield from _hyperparameters(dossier, say)
    yield from _training_results(dossier, say)
    yield from _frameworks(dossier, say)


def _hyperparameters(dossier: Dossier, say: Speaker) -> Iterator[str]:
    yield f"### {say(ja='ハイパーパラメーター', en='Training hyperparameters')}"
    found = hyperparameters(_arguments(dossier), processes(dossier))
    if not found:
        yield say.not_stated
        return
    yield say(ja="学習時の設定値です。", en="The following hyperparameters were used during training:")
    yield "\n".join(f"- {name}: {cell(value_text(value, say))}" for name, value in found.items())


def _arguments(dossier: Dossier) -> Mapping[str, Any]:
    """The Trainer's arguments where it gave them, else the training block of the configuration, else all of it."""
    candidates = (lookup(dossier, "arguments"), lookup(dossier, "training"), dossier.training_config)
    return next((found for found in candidates if isinstance(found, Mapping) and "learning_rate" in found), {})


def _training_results(dossier: Dossier, say: Speaker) -> Iterator[str]:
    yield f"### {say(ja='学習結果', en='Training results')}"
    lines = results_lines(dossier.history)
    if not lines:
        yield say.not_recorded
        return
    evaluated = bool(dossier.history.evaluations)
    if not evaluated:
        yield say(ja="評価は記録されていません。", en="No evaluation was recorded.")
    shown = evenly(lines, ROWS_SHOWN if evaluated else _TRAINING_ROWS_SHOWN)
    yield markdown_table(shown)
    if len(shown) < len(lines):
        yield say(
            ja=f"全{integer(len(lines))}行のうち等間隔に選んだ{integer(len(shown))}行です。",
            en=f"{integer(len(shown))} of {integer(len(lines))} rows, evenly chosen.",
        )


def _frameworks(dossier: Dossier, say: Speaker) -> Iterator[str]:
    yield f"### {say(ja='フレームワークのバージョン', en='Framework versions')}"
    environment = dossier.environment if isinstance(dossier.environment, Mapping) else {}
    versions = dict(leaves(environment.get("packages", {})))
    lines = [f"- {shown} {cell(str(versions[name]))}" for name, shown in _FRAMEWORKS.items() if name in versions]
    python = environment.get("python")
    if isinstance(python, Mapping) and "version" in python:
        lines.append(f"- Python {cell(str(python['version']))}")
    yield "\n".join(lines) or say.not_stated
