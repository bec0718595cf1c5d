"""Every word in a figure, in both languages, side by side so that they are kept alike."""

from typing import Literal

Language = Literal["en", "ja"]

TEXTS: dict[str, tuple[str, str]] = {
    "title": ("Training curves", "学習曲線"),
    "run": ("run", "実行ID"),
    "step": ("optimizer step", "最適化ステップ"),
    "log": ("log scale", "対数目盛"),
    "not_recorded": ("not recorded", "未記録"),
    "no_finite": ("no finite value", "有限値なし"),
    # panels: title, then unit
    "loss": ("Loss", "損失"),
    "loss.unit": ("nats / token", "nat / トークン"),
    "learning_rate": ("Learning rate", "学習率"),
    "learning_rate.unit": ("dimensionless", "無次元"),
    "accuracy": ("Accuracy", "正解率"),
    "accuracy.unit": ("share of tokens", "トークンの割合"),
    "perplexity": ("Perplexity", "パープレキシティ"),
    "perplexity.unit": ("exp(lm_loss)", "exp(lm_loss)"),
    "unit_unknown": ("as imported", "取り込み元の値"),
    "pet_loss": ("PET penalty × λ", "PET正則化項 × λ"),
    "so8t_loss": ("deviation of the SO(8) gates from orthogonality", "SO(8)ゲートの直交性からのずれ"),
    # what the marks mean
    "raw": ("recorded values", "記録値"),
    "smoothed": ("smoothed (running trimmed mean)", "平滑化（移動トリム平均）"),
    "evaluation": ("evaluation", "評価"),
    "non_finite": ("non-finite (NaN, ±∞)", "非有限値（NaN・±∞）"),
    "resumed": ("resumed", "再開"),
    "more_phases": ("more phases", "その他の段階"),
    # counts
    "rows": ("{} rows", "{}行"),
    "one_row": ("1 row", "1行"),
    "steps": ("steps {}–{}", "ステップ {}–{}"),
    "one_step": ("step {}", "ステップ {}"),
    "evaluations": ("{} evaluations", "評価{}回"),
    "one_evaluation": ("1 evaluation", "評価1回"),
    "attempts": ("{} attempts", "試行{}回"),
    "drawn": ("{} of {} points drawn, extremes kept", "{}/{}点を描画（極値は保持）"),
    "non_finite_count": ("{} non-finite", "非有限値 {}件"),
    # how a run stands
    "running": ("running", "実行中"),
    "completed": ("completed", "完了"),
    "interrupted": ("interrupted", "中断"),
    "failed": ("failed", "失敗"),
    # PET's phases; any other name is shown as it was recorded
    "phase.exploration": ("exploration", "探索"),
    "phase.transition": ("transition", "移行"),
    "phase.stabilization": ("stabilization", "安定化"),
}


def text(key: str, language: Language, *values: str) -> str:
    """One text, its blanks filled in.

    Example:
        >>> text("rows", "en", "1,200"), text("rows", "ja", "1,200")
        ('1,200 rows', '1,200行')
    """
    english, japanese = TEXTS[key]
    return (japanese if language == "ja" else english).format(*values)


def known(key: str, language: Language, otherwise: str) -> str:
    """One text if there is one, else what was recorded.

    Example:
        >>> known("phase.transition", "ja", "transition"), known("phase.warm", "ja", "warm")
        ('移行', 'warm')
    """
    return text(key, language) if key in TEXTS else otherwise
