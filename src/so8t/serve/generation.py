"""What the server asks of whoever writes the text: an engine in this process, or a server elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from so8t.errors import So8tError
from so8t.serve.messages import Language

__all__ = ["GenerationFailed", "GenerationRequest", "GenerationStopped", "Generator", "PromptTooLong"]


@dataclass(frozen=True)
class GenerationRequest:
    """One text to be generated.

    Attributes:
        request_id: name of the request.
        query: what the user asks, verbatim; whoever builds the prompt makes it harmless.
        language: language of the answer.
        max_new_tokens: bound of the generated tokens.
        temperature: 0 takes the likeliest token each time; above, tokens are drawn.
        top_p: share of the probability that is drawn from, above 0 to 1.
    """

    request_id: str
    query: str = field(repr=False)
    language: Language
    max_new_tokens: int
    temperature: float
    top_p: float


class GenerationFailed(So8tError):
    """No text came.

    Args:
        code: constant that says why, for the audit row and the metrics. Never a text from elsewhere.
    """

    exit_code = 1

    def __init__(self, code: str) -> None:
        super().__init__(f"the generation failed ({code})")
        self.code = code


class PromptTooLong(GenerationFailed):
    """Question and wanted answer together are longer than the model can see."""

    def __init__(self) -> None:
        super().__init__("prompt_too_long")


class GenerationStopped(GenerationFailed):
    """A generation ended early because it was cancelled.

    Args:
        partial: what had been generated; hashed for the audit row and thrown away. It is no argument of the
            exception, so that neither its text nor a traceback quotes it.
    """

    def __init__(self, partial: str) -> None:
        super().__init__("stopped")
        self.partial = partial


class Generator(Protocol):
    """Writes the text for a request."""

    async def generate(self, request: GenerationRequest) -> str:
        """Generate a text.

        Args:
            request: what is wanted.

        Returns:
            The whole raw text, beginning with the `<think-task>` that the prompt ended with.

        Raises:
            GenerationFailed: there is none.
            GenerationStopped: the task was cancelled, and this is what there was; or CancelledError if there was
                nothing.
        """
        ...

    async def close(self) -> None:
        """End what runs and let go of what is held."""
        ...
