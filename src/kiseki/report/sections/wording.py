"""The two languages side by side: a text is written twice in one place and picked by the reader's language."""

from dataclasses import dataclass

from kiseki.errors import UsageError


@dataclass(frozen=True, slots=True)
class Speaker:
    """Says things in one language: `say(ja="…", en="…")`.

    Attributes:
        language: `ja` or `en`.
    """

    language: str

    def __call__(self, *, ja: str, en: str) -> str:
        """The text in the speaker's language."""
        return ja if self.language == "ja" else en

    @property
    def not_stated(self) -> str:
        """What stands where the author or the trainer said nothing."""
        return self(ja="記載なし", en="not stated")

    @property
    def unknown(self) -> str:
        """What stands where a fact could not be found out."""
        return self(ja="不明", en="unknown")

    @property
    def none(self) -> str:
        """What stands where there is nothing, and that is known."""
        return self(ja="なし", en="none")

    @property
    def not_recorded(self) -> str:
        """What stands where a metric or a figure is not in the record."""
        return self(ja="記録なし", en="not recorded")

    def yes_no(self, value: bool) -> str:
        """A fact that holds or does not."""
        return self(ja="はい", en="yes") if value else self(ja="いいえ", en="no")

    def on_off(self, value: bool) -> str:
        """A switch among the settings."""
        return self(ja="有効", en="on") if value else self(ja="無効", en="off")

    def listed(self, items: list[str] | tuple[str, ...]) -> str:
        """Several things in a row.

        Example:
            >>> speaker("ja").listed(["loss", "accuracy"]), speaker("en").listed(["loss", "accuracy"])
            ('loss、accuracy', 'loss, accuracy')
        """
        return self(ja="、", en=", ").join(items)

    def joined(self, sentences: list[str]) -> str:
        """Whole sentences as running text: Japanese needs no space between them."""
        return self(ja="", en=" ").join(sentence for sentence in sentences if sentence)


def speaker(language: str) -> Speaker:
    """Whoever speaks this language.

    Raises:
        UsageError: there are no texts in it.

    Example:
        >>> speaker("ja")(ja="学習曲線", en="Training curves")
        '学習曲線'
    """
    if language not in ("ja", "en"):
        raise UsageError(f"language: {language!r} is not one of 'ja', 'en'")
    return Speaker(language)
