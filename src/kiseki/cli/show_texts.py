"""Every word of `kiseki show`, in English and in Japanese, side by side so that they are kept alike."""

_TEXTS: dict[str, tuple[str, str]] = {
    "headline": ("{} · {} · {} · step {}", "{} · {} · {} · ステップ {}"),
    "of_planned": ("{} of {}", "{}/{}"),
    "unknown_model": ("unknown model", "モデル名不明"),
    "cause": ("recorded cause: {}", "記録された原因: {}"),
    "imported": (
        "imported from {}; times are those of the import",
        "取り込んだ記録です（取り込み元: {}）。時刻は取り込み時のものです",
    ),
    # how a run or an attempt ended
    "completed": ("completed", "完了"),
    "interrupted": ("interrupted", "中断"),
    "failed": ("failed", "異常終了"),
    "running": ("running", "学習中"),
    "unfinished": ("ended without closing", "終了の記録なし"),
    "unfinished_why": (
        "ended without closing (killed or power cut)",
        "終了の記録なし（強制終了または電源断）",
    ),
    # tables
    "attempts": ("Attempts", "試行"),
    "training": ("Training", "学習"),
    "evaluation": ("Evaluation", "評価"),
    "number": ("#", "#"),
    "status": ("status", "状態"),
    "started": ("started (UTC)", "開始（UTC）"),
    "from": ("from", "再開元"),
    "steps": ("steps", "ステップ"),
    "rows": ("rows", "行数"),
    "superseded": ("superseded", "置換済み"),
    "from_start": ("start", "最初から"),
    "from_step": ("step {}", "ステップ {}"),
    "none": ("none", "なし"),
    "metric": ("metric", "指標"),
    "last": ("last", "最終"),
    "min": ("min", "最小"),
    "max": ("max", "最大"),
    "mean": ("mean", "平均"),
    "n": ("n", "件数"),
    "over_steps": ("over steps", "推移"),
    # record quality
    "quality": ("Record quality", "記録の信頼性"),
    "recorded": ("rows: {} of {} expected ({})", "行数: {}（想定 {}、{}）"),
    "every_step": ("every step", "毎ステップ"),
    "every_steps": ("every {} steps", "{}ステップごと"),
    "interval_unknown": ("interval unknown", "間隔不明"),
    "gap": ("gap: steps {} to {}, missing rows: {}", "欠損: ステップ{}から{}、欠損行: {}"),
    "non_finite": ("non-finite {}: {}, first at step {}", "非有限値 {}: {}件（最初はステップ{}）"),
    "superseded_rows": ("superseded by a resumed attempt: {}", "再開により置き換えられた行: {}"),
    "repeated": ("repeated steps: {}", "重複ステップ: {}"),
    "out_of_order": ("out of order: {}", "順序の逆転: {}"),
    "dropped": ("dropped rows: {}", "書き込めなかった行: {}"),
    "refused": ("refused values: {}", "記録を拒否した値: {}"),
    "errors": ("recorder errors: {}", "記録処理のエラー: {}"),
    "torn": ("bytes of a torn last line: {}", "末尾の書きかけ（バイト）: {}"),
    "repaired": ("repaired torn lines: {}", "書きかけ行の退避: {}"),
    "notes": ("notes of kind {}: {}", "その他の記録 {}: {}件"),
    "damage": ("damage in line {}: {}", "損傷 {}行目: {}"),
    "warning": ("warning: {}", "警告: {}"),
}

_STATUSES = ("completed", "interrupted", "failed", "running", "unfinished")


class Texts:
    """Says them in one language.

    Args:
        language: `ja`; anything else is English.

    Example:
        >>> Texts("en")("from_step", 5), Texts("ja")("from_step", 5), Texts("en").status("cancelled")
        ('step 5', 'ステップ 5', 'cancelled')
    """

    def __init__(self, language: str) -> None:
        self._side = 1 if language == "ja" else 0

    def __call__(self, key: str, *values: object) -> str:
        """One text, its blanks filled in."""
        return _TEXTS[key][self._side].format(*values)

    def status(self, recorded: str) -> str:
        """How a run or an attempt ended; a word that is not known stays as it was recorded."""
        return self(recorded) if recorded in _STATUSES else recorded
