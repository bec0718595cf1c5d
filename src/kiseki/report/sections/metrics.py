"""What is told about one metric: its name, unit and definition, and its best value."""

from typing import Literal

import numpy as np

from kiseki.history import Column
from kiseki.report.dossier import Dossier
from kiseki.report.sections.standing import import_facts
from kiseki.report.sections.wording import Speaker
from kiseki.vocabulary import Meaning, meaning

Direction = Literal["lower", "higher"]

_DIRECTIONS: dict[str, Direction] = {
    "loss": "lower",
    "lm_loss": "lower",
    "perplexity": "lower",
    "accuracy": "higher",
    "eval_loss": "lower",
    "eval_perplexity": "lower",
    "eval_accuracy": "higher",
}

_READABLE = {
    "loss": ("学習損失", "training loss"),
    "lm_loss": ("言語モデル損失", "language-model loss"),
    "pet_loss": ("PET損失", "PET loss"),
    "so8t_loss": ("SO8T損失", "SO8T loss"),
    "learning_rate": ("学習率", "learning rate"),
    "accuracy": ("正解率", "accuracy"),
    "perplexity": ("パープレキシティ", "perplexity"),
    "grad_norm": ("勾配ノルム", "gradient norm"),
    "eval_loss": ("評価損失", "evaluation loss"),
    "eval_accuracy": ("評価正解率", "evaluation accuracy"),
    "eval_perplexity": ("評価パープレキシティ", "evaluation perplexity"),
    "epoch": ("エポック", "epoch"),
    "tokens_seen": ("処理済みトークン数", "tokens seen"),
    "tokens_per_second": ("毎秒トークン数", "tokens per second"),
    "peak_memory_bytes": ("最大メモリー使用量", "peak memory"),
}

_SAME_EVERYWHERE = ("epoch", "learning_rate")
_UNITS = {
    "1": ("無次元", "dimensionless"),
    "token": ("トークン", "tokens"),
    "token/s": ("トークン/秒", "tokens/s"),
    "byte": ("バイト", "bytes"),
    "epoch": ("エポック", "epochs"),
    "step": ("ステップ", "steps"),
}


def readable(name: str, say: Speaker) -> str:
    """The field's word for a metric, empty where there is none."""
    ja, en = _READABLE.get(name, ("", ""))
    return say(ja=ja, en=en)


def unit(name: str, say: Speaker) -> str:
    """The unit of a metric that was recorded under our own name for it."""
    return _unit(meaning(name), say)


def definition(name: str, say: Speaker) -> str:
    """What a metric means that was recorded under our own name for it."""
    known = meaning(name)
    if known is not None:
        return say(ja=known.ja, en=known.en)
    return say(
        ja="学習プログラムが付けた名称のまま記載（用語集に定義なし）。",
        en="As named by the trainer; not in the vocabulary.",
    )


def known_meaning(dossier: Dossier, name: str) -> Meaning | None:
    """What the metric means, as far as the record vouches for it.

    An imported metric bears the name that the source gave it: an `eval_accuracy` may be of images. Only what means the
    same everywhere is taken to mean it there too.
    """
    return None if import_facts(dossier) and name not in _SAME_EVERYWHERE else meaning(name)


def unit_in(dossier: Dossier, name: str, say: Speaker) -> str:
    """The metric's unit in this record."""
    return _unit(known_meaning(dossier, name), say)


def brief_unit_in(dossier: Dossier, name: str, say: Speaker) -> str:
    """The same for a column of units in a table that is wide already."""
    known = known_meaning(dossier, name)
    return say(ja="無次元", en="none") if known is not None and known.unit == "1" else _unit(known, say)


def definition_in(dossier: Dossier, name: str, say: Speaker) -> str:
    """What the metric means in this record."""
    if known_meaning(dossier, name) is None and import_facts(dossier):
        return say(
            ja="取り込み元が付けた名称のまま記載（定義と集計方法は不明）。",
            en="As named by the source; how it was defined and reduced is unknown.",
        )
    return definition(name, say)


def _unit(known: Meaning | None, say: Speaker) -> str:
    if known is None:
        return say.unknown
    ja, en = _UNITS.get(known.unit, (known.unit, known.unit))
    return say(ja=ja, en=en)


def direction_of(dossier: Dossier, name: str) -> Direction | None:
    """Whether lower or higher is better: by the vocabulary, or by what the criteria ask for; None when nobody says."""
    for verdict in dossier.criteria.verdicts:
        if verdict.criterion.metric == name:
            return "lower" if verdict.criterion.operator in ("<", "<=") else "higher"
    return _DIRECTIONS.get(name)


def column_of(dossier: Dossier, name: str) -> Column | None:
    """The recorded values of a metric, from the training rows or else from the evaluations."""
    history = dossier.history
    return history.rows.columns.get(name) or history.evaluations.columns.get(name)


def best(column: Column, direction: Direction) -> tuple[float, int] | None:
    """The best finite value and the first optimizer step that has it; None without a finite value.

    Example:
        >>> from array import array
        >>> best(Column("loss", array("q"), array("q", [1, 2, 3]), array("d", [2.0, 1.0, float("nan")])), "lower")
        (1.0, 2)
    """
    value = np.frombuffer(column.value, dtype=np.float64)
    finite = np.flatnonzero(np.isfinite(value))
    if not len(finite):
        return None
    at = finite[value[finite].argmin() if direction == "lower" else value[finite].argmax()]
    return float(value[at]), column.step[int(at)]
