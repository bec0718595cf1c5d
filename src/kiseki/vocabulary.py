"""What each metric means: unit, how it is reduced over the window, and the panel it is drawn in.

The names that the specification fixes come first and in this order wherever metrics are listed. A metric that is not
named here is recorded all the same; it is simply unknown what it means.
"""

import re
from dataclasses import dataclass
from typing import Literal

BASIC = ("step", "epoch", "timestamp", "elapsed_time_seconds", "loss", "learning_rate")
"""Keys that every training row has."""

OPTIONAL = ("pet_loss", "so8t_loss", "accuracy", "perplexity", "grad_norm")
"""Keys that a row has when the value was recorded."""

BOOKKEEPING = ("step", "timestamp", "elapsed_time_seconds", "attempt", "window_steps")
"""Keys that say where a row belongs; they are not metrics and have no statistics."""

RESERVED = ("timestamp", "elapsed_time_seconds", "attempt")
"""Keys that the recorder writes itself and nobody may give."""

Panel = Literal["loss", "learning_rate", "accuracy", "perplexity"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a number is.

    Args:
        unit: SI or the field's own; "1" for a plain ratio.
        reduction: how one number came from many.
        panel: where it is drawn, None when it has no panel of its own.
        en: definition in English.
        ja: the same in Japanese.
    """

    unit: str
    reduction: str
    panel: Panel | None
    en: str
    ja: str


TOKEN_WEIGHTED = "token-weighted mean over the window"
LAST = "value at the row's optimizer step"

MEANINGS: dict[str, Meaning] = {
    "loss": Meaning(
        "nat", TOKEN_WEIGHTED, "loss",
        "Total training loss: lm_loss + pet_loss + so8t_loss.",
        "学習損失の合計（lm_loss + pet_loss + so8t_loss）。",
    ),
    "lm_loss": Meaning(
        "nat", TOKEN_WEIGHTED, "loss",
        "Cross-entropy of the language model per predicted token.",
        "言語モデルの交差エントロピー（予測トークンあたり）。",
    ),
    "pet_loss": Meaning(
        "1", "mean over the window", "loss",
        "PET penalty times its weight λ, as it enters the loss.",
        "PET正則化項に重みλを掛けた値（損失に加算される値）。",
    ),
    "pet_penalty": Meaning(
        "1", "mean over the window", None,
        "PET penalty before weighting: mean squared second difference of the last hidden state along tokens.",
        "重み付け前のPET正則化項（最終隠れ状態のトークン方向2階差分の二乗平均）。",
    ),
    "pet_lambda": Meaning("1", LAST, None, "Weight λ of the PET penalty.", "PET正則化項の重みλ。"),
    "so8t_loss": Meaning(
        "1", "mean over the window", "loss",
        "Weighted deviation of the SO(8) gates from orthogonality; a numerical monitor.",
        "SO(8)回転ゲートの直交性からのずれ（重み付き）。数値監視用。",
    ),
    "learning_rate": Meaning("1", LAST, "learning_rate", "Learning rate of the step.", "そのステップの学習率。"),
    "accuracy": Meaning(
        "1", TOKEN_WEIGHTED, "accuracy",
        "Share of predicted tokens that equal the label (teacher forcing).",
        "正解トークンと一致した割合（教師強制）。",
    ),
    "perplexity": Meaning(
        "1", "exp of the token-weighted mean lm_loss", "perplexity",
        "exp(lm_loss), from the language-model loss alone.",
        "exp(lm_loss)。言語モデル損失のみから算出。",
    ),
    "grad_norm": Meaning(
        "1", LAST, None, "L2 norm of the gradient before clipping.", "クリッピング前の勾配のL2ノルム。"
    ),
    "learning_rate_gates": Meaning(
        "1", LAST, None, "Learning rate of the SO(8) gates.", "SO(8)回転ゲートの学習率。"
    ),
    "so8t_orthogonality_error": Meaning(
        "1", LAST, None, "Largest entry of |R^T R - I| over all SO(8) gates.", "全SO(8)回転ゲートの|R^T R - I|の最大要素。",
    ),
    "so8t_determinant_error": Meaning(
        "1", LAST, None, "Largest |det R - 1| over all SO(8) gates.", "全SO(8)回転ゲートの|det R - 1|の最大値。",
    ),
    "so8t_distance_from_identity": Meaning(
        "1", LAST, None,
        "Mean Frobenius norm of R - I over all SO(8) gates.", "全SO(8)回転ゲートのR - Iのフロベニウスノルムの平均。",
    ),
    "so8t_rotation_angle": Meaning(
        "rad", LAST, None,
        "Mean magnitude of the eigen-angles of all SO(8) gates.", "全SO(8)回転ゲートの固有角の絶対値の平均。",
    ),
    "non_finite_steps": Meaning(
        "step", "sum over the window", None,
        "Optimizer steps whose loss was NaN or infinite.", "損失がNaNまたは±∞だった最適化ステップの数。",
    ),
    "epoch": Meaning("epoch", LAST, None, "Passes over the training data.", "学習データの周回数。"),
    "tokens_seen": Meaning("token", LAST, None, "Input tokens processed so far.", "処理済み入力トークン数。"),
    "tokens_per_second": Meaning(
        "token/s", "mean over the window", None, "Input tokens per second, all ranks.",
        "毎秒の処理トークン数（全ランク合計）。",
    ),
    "peak_memory_bytes": Meaning(
        "byte", "maximum over the window and the ranks", None, "Largest memory in use.", "最大メモリー使用量。"
    ),
    "eval_tokens": Meaning(
        "token", "sum over the evaluation set", None,
        "Predicted tokens that the evaluation's means rest on.", "評価の平均の対象となった予測トークン数。",
    ),
    "eval_loss": Meaning(
        "nat", "token-weighted mean over the evaluation set", "loss",
        "Cross-entropy on held-out data per predicted token.",
        "評価データの交差エントロピー（予測トークンあたり）。",
    ),
    "eval_accuracy": Meaning(
        "1", "token-weighted mean over the evaluation set", "accuracy",
        "Token accuracy on held-out data.", "評価データのトークン正解率。",
    ),
    "eval_perplexity": Meaning(
        "1", "exp of eval_loss", "perplexity", "exp(eval_loss).", "exp(eval_loss)。"
    ),
}  # fmt: skip
"""Definitions by metric name. The loss of a language model is in nats because the logarithm is natural."""

_LAYER_MEANINGS = {
    "orthogonality_error": Meaning(
        "1", LAST, None,
        "Largest entry of |R^T R - I| in this layer's SO(8) gate.", "この層のSO(8)回転ゲートにおける|R^T R - I|の最大要素。",
    ),
    "rotation_angle": Meaning(
        "rad", LAST, None,
        "Mean magnitude of the eigen-angles of this layer's SO(8) gate.", "この層のSO(8)回転ゲートの固有角の絶対値の平均。",
    ),
}  # fmt: skip
_RANK_MEANINGS = {
    "tokens_per_second": Meaning(
        "token/s", "mean over the window", None, "Input tokens per second of this rank.", "このランクの毎秒処理トークン数。"
    ),
    "peak_memory_bytes": Meaning(
        "byte", "maximum over the window", None, "Largest memory in use on this rank.", "このランクの最大メモリー使用量。"
    ),
}  # fmt: skip
_AS_GOOD_AS_SAME = 0.85
"""Share of two names' letters that are the same in order: one letter of four may be missing, as in `los`."""
_OF_LAYER = re.compile(r"so8t/layer_\d+/(\w+)")
_OF_RANK = re.compile(r"rank\d+/(\w+)")


def meaning(name: str) -> Meaning | None:
    """What a metric means; None when it is not known here.

    Example:
        >>> meaning("so8t/layer_3/rotation_angle").unit
        'rad'
        >>> meaning("my_metric") is None
        True
    """
    of_layer, of_rank = _OF_LAYER.fullmatch(name), _OF_RANK.fullmatch(name)
    if of_layer:
        return _LAYER_MEANINGS.get(of_layer[1])
    return _RANK_MEANINGS.get(of_rank[1]) if of_rank else MEANINGS.get(name)


def misspelt(name: str) -> str | None:
    """The known metric that a name looks like a misspelling of; None where it is known itself, or like none.

    Metrics of any name can be recorded, so a name that is merely unknown is no mistake; one letter off `eval_loss` it
    most likely is.

    Args:
        name: as somebody wrote it, in a success criterion for one.

    Example:
        >>> misspelt("evel_loss"), misspelt("Loss"), misspelt("eval_loss"), misspelt("my_metric")
        ('eval_loss', 'loss', None, None)
    """
    import difflib  # `import kiseki` must cost little, and criteria are rare

    known = {*MEANINGS, *BOOKKEEPING}
    if name in known or meaning(name) is not None:
        return None
    near = difflib.get_close_matches(name.lower(), sorted(known), n=1, cutoff=_AS_GOOD_AS_SAME)
    return near[0] if near else None
