"""The model card: `README.md` as the Hugging Face Hub reads it, for programs and for people."""

from kiseki.errors import KisekiError, UsageError
from kiseki.report.card.body import card_body
from kiseki.report.card.merge import merged
from kiseki.report.card.metadata import card_metadata
from kiseki.report.dossier import Dossier
from kiseki.report.sections.wording import speaker


class HubExtraMissing(KisekiError):
    """The optional package that speaks with the Hub is not installed."""


def require_hub() -> None:
    """Make sure that huggingface_hub is there.

    Raises:
        HubExtraMissing: it is not; the message says how to install it.
    """
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise HubExtraMissing("model cards need huggingface_hub: pip install 'kiseki[hub]'") from error


def to_card(dossier: Dossier, *, language: str, repo_id: str | None = None, existing: str | None = None) -> str:
    """Render the model card.

    Args:
        dossier: the facts.
        language: `ja` or `en`.
        repo_id: `ORG/NAME` of the repository it is for, None when it is for none yet.
        existing: the card that stands there. Everything outside our markers stays byte for byte, and so do metadata
            keys that a person set.

    Returns:
        Markdown with metadata; the same for the same record and the same existing card.

    Raises:
        HubExtraMissing: huggingface_hub is not installed.
        UsageError: the configuration states what the Hub does not take, or the existing card cannot be read.
    """
    require_hub()
    from huggingface_hub import ModelCard

    metadata = card_metadata(dossier, repo_id)
    card = merged(existing, metadata, card_body(dossier, metadata, speaker(language)))
    try:
        ModelCard(card)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"README.md: huggingface_hub refuses the metadata ({' '.join(str(error).split())}); mend it there first"
        ) from error
    return card
