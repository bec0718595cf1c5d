"""What training says of itself while it runs, in both languages, side by side so that they are kept alike.

These lines follow `poc.language`. Errors, and advice that names keys of the configuration, are in English always: they
are what people search for.
"""

from typing import Literal

Language = Literal["en", "ja"]

TEXTS: dict[str, tuple[str, str]] = {
    # while training runs
    "training": ("training", "学習中"),
    "step": ("step {step}/{total}  {said}", "ステップ {step}/{total}  {said}"),
    "loss": ("loss {loss}, {left}", "損失 {loss}、{left}"),
    "loss_and_rate": ("loss {loss}, learning rate {rate}, {left}", "損失 {loss}、学習率 {rate}、{left}"),
    "left": ("{duration} left", "残り {duration}"),
    "left_unknown": ("time left unknown", "残り時間は不明"),
    "held_out": ("held-out loss {loss}", "評価損失 {loss}"),
    "held_out_of_batches": ("held-out loss {loss} (mean of batches)", "評価損失 {loss}（バッチの平均）"),
    "d": ("{} d", "{}日"),
    "h": ("{} h", "{}時間"),
    "min": ("{} min", "{}分"),
    "s": ("{} s", "{}秒"),
    # numbers that are none
    "not_finite": (
        "warning: the loss was NaN or infinite {when}: the weights are likely damaged from there on; stop (Ctrl-C), "
        "check learning rate and data, and train again",
        "警告：損失が NaN または無限大になりました（{when}）。以降の重みは壊れている可能性が高いため、"
        "停止（Ctrl-C）して学習率とデータを確認し、学習し直してください",
    ),
    "held_out_not_finite": (
        "warning: the held-out loss is NaN or infinite: the weights are likely damaged; stop (Ctrl-C), "
        "check learning rate and data, and train again",
        "警告：評価損失が NaN または無限大です。重みが壊れている可能性が高いため、"
        "停止（Ctrl-C）して学習率とデータを確認し、学習し直してください",
    ),
    "at_step": ("at step {step}", "ステップ {step}"),
    "at_one_of": ("at one of the steps {first} to {last}", "ステップ {first}〜{last} のいずれか"),
    "not_finite_in": (
        "warning: the loss was NaN or infinite in {steps} of {total} steps, first {when}: ",
        "警告：{total} ステップのうち {steps} ステップで損失が NaN または無限大でした（最初は{when}）：",
    ),
    "not_finite_uncounted": (
        "warning: the loss was NaN or infinite, first {when}: ",
        "警告：損失が NaN または無限大になりました（最初は{when}）：",
    ),
    "held_out_not_finite_at_end": (
        "warning: the last held-out loss is NaN or infinite: ",
        "警告：最後の評価損失が NaN または無限大です：",
    ),
    "finite_again": (
        "it was finite again at the end, but check the weights in {weights} before using them",
        "最後は有限値に戻っていますが、{weights} の重みは確認してから使用してください",
    ),
    "damaged": (
        "the weights in {weights} are likely damaged; the last checkpoint from before it: {checkpoint}",
        "{weights} の重みは壊れている可能性が高いです。それより前の最後のチェックポイント：{checkpoint}",
    ),
    "damaged_all": (
        "the weights in {weights} are likely damaged, and no checkpoint from before it is left",
        "{weights} の重みは壊れている可能性が高く、それより前のチェックポイントは残っていません",
    ),
    # what a power cut would cost
    "one_step": ("{n} step", "{n} ステップ"),
    "steps": ("{n} steps", "{n} ステップ"),
    "at_risk": (
        "a power cut now costs at most {bound}, about {about}",
        "停電で失われる作業は最大 {bound}（約 {about}）",
    ),
    "at_risk_untimed": (
        "a power cut now costs at most {bound} (how long a step takes is not known yet)",
        "停電で失われる作業は最大 {bound}（1 ステップの所要時間は未測定）",
    ),
    "work_of": ("{duration} of work and one step", "{duration} の作業と 1 ステップ"),
    "or_less": ("{steps}, or {work} where that is less", "{steps}、または {work} のうち少ない方"),
    "written": ("checkpoint of step {step} written; ", "ステップ {step} のチェックポイントを保存しました。"),
    "no_checkpoints": (
        "no further checkpoint is written: a power cut costs all work up to it",
        "以降チェックポイントを保存しないため、停電するとそこまでの作業をすべて失います",
    ),
    # signals
    "signal": (
        "{signal}: the step that runs is finished, a checkpoint is written, then training stops; "
        "once more: stop at once",
        "{signal}: 実行中のステップを終え、チェックポイントを保存してから停止します（もう一度送ると直ちに停止）",
    ),
    "signal_late": (
        "{signal}: training has ended, its results are being written; once more: stop at once",
        "{signal}: 学習は終わっており、結果を書き込んでいます（もう一度送ると直ちに停止）",
    ),
    # the beginning and the end of a run
    "train_data": (
        "train data: {kept} of {records} records, {tokens} tokens",
        "学習データ：{records} 件中 {kept} 件、{tokens} トークン",
    ),
    "eval_data": (
        "eval data: {kept} of {records} records, {tokens} tokens",
        "評価データ：{records} 件中 {kept} 件、{tokens} トークン",
    ),
    "too_long": (", {n} too long and left out", "（長すぎる {n} 件は除外）"),
    "digests": ("computing the SHA-256 of the base model's weights …", "ベースモデルの重みの SHA-256 を計算中…"),
    "passed_over": (
        "{checkpoint} is not complete ({reason}) and is passed over",
        "{checkpoint} は不完全なため使用しません（{reason}）",
    ),
    "none_to_resume": (
        "{run} holds no complete checkpoint to resume from: a new run begins",
        "{run} に再開できる完全なチェックポイントがないため、新しい学習を始めます",
    ),
    "forced": (
        "--force: training goes on under other settings: {differences}",
        "--force: 異なる設定のまま学習を続けます：{differences}",
    ),
    "beyond": (
        "checkpoints and final model from beyond step {step} now stand in {aside}",
        "ステップ {step} より後のチェックポイントと最終モデルを {aside} に移しました",
    ),
    "goes_on": ("training goes on from {checkpoint}", "{checkpoint} から学習を再開します"),
    "new_run": (
        "an earlier run's checkpoints and model now stand in {aside}: a new run begins",
        "前の学習のチェックポイントとモデルを {aside} に移し、新しい学習を始めます",
    ),
    "no_metrics": (
        "training.save_metrics is false: no metrics, no curves and no report are made",
        "training.save_metrics が false のため、メトリクス・学習曲線・報告書は作成しません",
    ),
    "nothing_left": (
        "{checkpoint} is the last step of this run: nothing is left to train",
        "{checkpoint} は最後のステップのため、学習は残っていません",
    ),
    "completed": (
        "completed: {step} of {total} steps; model: {model}",
        "完了：{total} ステップ中 {step} ステップ、モデル：{model}",
    ),
    "interrupted": (
        "interrupted after step {step} of {total}; to go on: --resume-from-checkpoint auto",
        "中断：{total} ステップ中 {step} ステップで停止、再開するには --resume-from-checkpoint auto",
    ),
    "files": ("Files to submit", "提出ファイル"),
    "missing": ("  (missing)", "  （ありません）"),
}


def text(key: str, language: Language, *values: object, **named: object) -> str:
    """One text, its blanks filled in.

    Example:
        >>> text("interrupted", "en", step=8, total=40)
        'interrupted after step 8 of 40; to go on: --resume-from-checkpoint auto'
        >>> text("h", "ja", 3)
        '3時間'
    """
    english, japanese = TEXTS[key]
    return (japanese if language == "ja" else english).format(*values, **named)


def duration(seconds: float, language: Language = "en") -> str:
    """A length of time as people say it.

    Example:
        >>> [duration(s) for s in (3.4, 75, 3 * 3600 + 60, 50 * 3600)]
        ['3 s', '1 min 15 s', '3 h 1 min', '2 d 2 h']
        >>> duration(3 * 3600 + 60, "ja")
        '3時間 1分'
    """
    whole = max(0, round(seconds))
    parts: list[tuple[str, int]] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, whole = divmod(whole, size)
        if count or parts:
            parts.append((unit, count))
    return " ".join(text(unit, language, count) for unit, count in parts[:2] if count) or text("s", language, 0)
