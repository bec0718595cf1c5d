"""The words that renderers need around the blocks; what only one of them needs, it brings itself."""

from collections.abc import Mapping

from kiseki.report.sections.wording import Speaker

_WORDS = {
    "appendix": ("付録", "Appendix"),
    "bad": ("重要", "Important"),
    "band": ("範囲（最小〜最大）", "range (lowest to highest)"),
    "caution": ("注意", "Caution"),
    "contents": ("目次", "Contents"),
    "data_of_figure": ("この図の数値", "Numbers of this figure"),
    "figure": ("図", "Figure"),
    "generated_at": ("作成日時", "Generated at"),
    "good": ("良好", "Good"),
    "linear": ("線形目盛", "Linear scale"),
    "logarithmic": ("対数目盛", "Logarithmic scale"),
    "neutral": ("補足", "Note"),
    "no_points": ("描画できる値がありません。", "There is no value that could be drawn."),
    "not_finite": ("非有限値（NaN・±∞）", "not finite (NaN, ±∞)"),
    "page": ("ページ", "Page"),
    "phase": ("学習段階", "phase"),
    "print": ("印刷", "Print"),
    "reset_zoom": ("拡大を解除", "Reset zoom"),
    "resumed": ("再開", "resumed"),
    "search": ("絞り込み", "Filter"),
    "skip_to_content": ("本文へ移動", "Skip to the report"),
    "step": ("ステップ", "Step"),
    "table": ("表", "Table"),
    "theme_dark": ("ダークモード", "Dark"),
    "theme_light": ("ライトモード", "Light"),
    "value": ("値", "Value"),
    "verdict": ("総合判定", "Verdict"),
}


def words(say: Speaker) -> Mapping[str, str]:
    """Every word in the speaker's language, by key."""
    return {key: say(ja=ja, en=en) for key, (ja, en) in _WORDS.items()}
