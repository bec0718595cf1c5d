"""Words for the codes that counts of data and of answers are kept under; the code stands behind its word."""

from collections.abc import Mapping
from typing import Any

from kiseki.report.sections.given import value_text, visible
from kiseki.report.sections.numbers import integer
from kiseki.report.sections.wording import Speaker

_WORDS = {
    # languages
    "ja": ("日本語", "Japanese"),
    "en": ("英語", "English"),
    # tiers of sources
    "synthetic": ("合成", "synthetic"),
    # what the system is to do with a request
    "ALLOW": ("回答可", "to be answered"),
    "ESCALATION": ("人へ引き継ぐ", "to be handed to a person"),
    "DENY": ("理由を示して断る", "to be declined with a reason"),
    "REFUSE": ("断る", "to be declined"),
    # what a text is about
    "nsfw_adult": ("成人向け", "adult content"),
    "nsfw_soft": ("軽度のNSFW", "mild NSFW"),
    "nsfw_block": ("遮断対象のNSFW", "NSFW to be blocked"),
    # why a record was not trained on
    "too_long": ("系列長の上限を超過", "longer than the longest sequence"),
    "not_sampled": ("標本抽出の対象外", "not among the sample"),
    # steps of cleaning
    "read": ("読み込み", "reading"),
    "extract": ("本文の抽出", "extraction of the text"),
    "confidential": ("機密表示の検査", "marks of confidentiality"),
    "normalise": ("正規化", "normalisation"),
    "language": ("言語の判定", "language"),
    "quality": ("品質の検査", "quality"),
    "privacy": ("個人情報の検査", "personal data"),
    "safety": ("安全性の検査", "safety"),
    "duplicates": ("重複の検査", "duplicates"),
    "schema": ("形式の検査", "form of the record"),
    # why cleaning left a text out
    "empty": ("空", "empty"),
    "outside the input": ("入力フォルダーの外", "outside the input"),
    "too large": ("サイズ超過", "too large"),
    "unreadable": ("読み取り不可", "unreadable"),
    "no text": ("本文なし", "no text"),
    "marked": ("機密の表示あり", "marked as confidential"),
    "other language": ("対象外の言語", "other language"),
    "too short": ("短すぎる", "too short"),
    "too long": ("長すぎる", "too long"),
    "garbled": ("文字化け", "garbled"),
    "few letters": ("文字が少ない", "few letters"),
    "repetitive": ("繰り返しが多い", "repetitive"),
    "no sentences": ("文がない", "no sentences"),
    "unsettled": ("個人情報の残存", "personal data that could not be redacted"),
    "equal text": ("同一の文章", "equal text"),
    "similar text": ("類似の文章", "similar text"),
    "without licence": ("ライセンスなし", "without licence"),
    "without tier": ("信頼区分なし", "without tier"),
    "invalid": ("形式の不備", "invalid"),
    # kinds of personal data
    "secret": ("鍵・パスワード", "key or password"),
    "email": ("メールアドレス", "e-mail address"),
    "card": ("クレジットカード番号", "credit card number"),
    "driving_licence": ("運転免許証番号", "driving licence number"),
    "my_number": ("マイナンバー", "Japanese individual number"),
    "passport": ("旅券番号", "passport number"),
    "residence_card": ("在留カード番号", "residence card number"),
    "pension_number": ("基礎年金番号", "pension number"),
    "insurance_number": ("健康保険の番号", "health insurance number"),
    "social_security": ("米国の社会保障番号", "US social security number"),
    "account": ("口座番号", "bank account"),
    "ip_address": ("IPアドレス", "IP address"),
    "phone": ("電話番号", "telephone number"),
    "address": ("住所", "postal address"),
    "postal_code": ("郵便番号", "postal code"),
    "birth_date": ("生年月日", "date of birth"),
    "name": ("氏名", "name of a person"),
    # what became of a question
    "answered": ("回答", "answered"),
    "escalated": ("人へ引き継ぎ", "handed to a person"),
    "refused": ("拒否", "refused"),
    "format_violation": ("形式違反", "form not kept"),
    "final_rejected": ("最終回答の不採用", "final answer rejected"),
    "timed_out": ("時間切れ", "timed out"),
    "error": ("エラー", "error"),
}


def code_text(code: str, say: Speaker) -> str:
    """A code with its word, as it is where no word is known for it.

    Example:
        >>> from kiseki.report.sections.wording import speaker
        >>> code_text("too_long", speaker("ja")), code_text("equal text", speaker("en")), code_text("2", speaker("en"))
        ('系列長の上限を超過（too_long）', 'equal text', '2')
    """
    shown = visible(code)
    if code not in _WORDS:
        return shown
    ja, en = _WORDS[code]
    return say(ja=f"{ja}（{shown}）", en=en if en == code else f"{en} ({shown})")


def divided(counts: Any, say: Speaker) -> str:
    """Counts by kind, such as records by language.

    Example:
        >>> from kiseki.report.sections.wording import speaker
        >>> divided({"ja": 1250, "CC0": 3}, speaker("en")), divided({}, speaker("en")), divided(None, speaker("ja"))
        ('Japanese (ja): 1,250, CC0: 3', 'none', '不明')
    """
    if not isinstance(counts, Mapping):
        return say.unknown
    told = [(code_text(str(code), say), count_text(count, say)) for code, count in counts.items()]
    return say.listed([say(ja=f"{kind}：{count}", en=f"{kind}: {count}") for kind, count in told]) or say.none


def count_text(value: Any, say: Speaker) -> str:
    """A count as somebody stated it, whatever it is."""
    if isinstance(value, int) and not isinstance(value, bool):
        return integer(value)
    return say.not_stated if value is None else value_text(value, say)
