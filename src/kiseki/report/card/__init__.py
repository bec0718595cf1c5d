"""The model card for the Hub: metadata, body, and merging with what a person wrote."""

from kiseki.report.card.render import HubExtraMissing, require_hub, to_card

__all__ = ["HubExtraMissing", "require_hub", "to_card"]
