"""The kinds of personal data, and what is done about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Kind(StrEnum):
    """A kind of personal data. Of two that claim the same text the longer claim names it, then the earlier kind."""

    SECRET = "secret"
    """Key, token, password."""
    EMAIL = "email"
    """メールアドレス."""
    CARD = "card"
    """クレジットカード番号, with Luhn's check digit."""
    DRIVING_LICENCE = "driving_licence"
    """運転免許証番号."""
    MY_NUMBER = "my_number"
    """マイナンバー (個人番号), with its check digit."""
    PASSPORT = "passport"
    """旅券番号."""
    RESIDENCE_CARD = "residence_card"
    """在留カード番号."""
    PENSION_NUMBER = "pension_number"
    """基礎年金番号."""
    INSURANCE_NUMBER = "insurance_number"
    """健康保険の保険者番号, 被保険者番号."""
    SOCIAL_SECURITY = "social_security"
    """Social security number of the United States."""
    ACCOUNT = "account"
    """銀行口座, ゆうちょ, IBAN."""
    IP_ADDRESS = "ip_address"
    """IPアドレス."""
    PHONE = "phone"
    """電話番号, FAX番号."""
    ADDRESS = "address"
    """住所."""
    POSTAL_CODE = "postal_code"
    """郵便番号."""
    BIRTH_DATE = "birth_date"
    """生年月日."""
    NAME = "name"
    """氏名."""


class Action(StrEnum):
    """What becomes of a text in which a kind is found."""

    REDACT = "redact"
    """The value is replaced by its kind in brackets."""
    DROP = "drop"
    """The whole text is left out."""


DEFAULT_ACTIONS: Mapping[Kind, Action] = MappingProxyType(
    {
        kind: Action.DROP
        if kind
        in {
            Kind.CARD,
            Kind.MY_NUMBER,
            Kind.DRIVING_LICENCE,
            Kind.PASSPORT,
            Kind.RESIDENCE_CARD,
            Kind.PENSION_NUMBER,
            Kind.INSURANCE_NUMBER,
            Kind.SOCIAL_SECURITY,
            Kind.ACCOUNT,
        }
        else Action.REDACT
        for kind in Kind
    }
)
"""A page with an identity or bank number is a leak or a form: nothing in it is wanted. The rest is replaced."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Where personal data stands. It does not hold the value, so that no log or error can.

    Attributes:
        kind: what it is.
        start: offset of its first character.
        end: offset after its last character.
    """

    kind: Kind
    start: int
    end: int
