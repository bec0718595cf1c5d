"""Builds the prompt as token ids; nothing that a user types can become a control token or a tag.

Role tokens are put in by id, and the user's text is encoded with added tokens switched off (`ChatEncoder.plain`). What
reads as a thinking tag, a final tag or a role token in it is written with square brackets before that. The prompt ends
with `<think-task>`, which the model goes on from.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import unquote

from so8t.data.assistant_text import find_reserved
from so8t.data.chat import SYSTEM_PROMPTS, ChatEncoder
from so8t.serve.grammar import FORCED_OPENING
from so8t.serve.messages import Language

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["STOP_TOKENS", "Prompting", "neutralized"]

STOP_TOKENS = ("<|end|>", "<|endoftext|>", "<|assistant|>", "<|user|>", "<|system|>")
"""Tokens that end the assistant's turn; the last three would begin another one."""

_PIECE = re.compile(
    r"<\s*(?P<tag>/?\s*(?:think|final(?![a-z0-9_]))[^<>]{0,64})>?"
    r"|<(?P<role>\s*\|\s*[a-z0-9_-]+\s*\|\s*)>",
    re.IGNORECASE,
)
_BRACKETS = str.maketrans({"<": "[", ">": "]"})


class Prompting:
    """Prompts for one tokenizer, and texts from what comes back.

    Args:
        tokenizer: a fast tokenizer that knows Phi-3.5's role tokens.

    Raises:
        ModelError: the tokenizer lacks a role token, or has no fast backend.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._chat = ChatEncoder(tokenizer)
        self._opening = self._chat.plain(FORCED_OPENING)
        vocabulary = tokenizer.get_vocab()
        self.stop_ids = frozenset(vocabulary[token] for token in STOP_TOKENS)
        self.pad_id = int(vocabulary["<|endoftext|>"])

    def prompt(self, query: str, language: Language) -> list[int]:
        """Give the ids of a prompt: system turn, the user's question, and the opened thinking.

        Args:
            query: the question, verbatim.
            language: language of the system prompt.
        """
        return [*self._chat.prompt(SYSTEM_PROMPTS[language], neutralized(query)), *self._opening]

    def text(self, generated: list[int]) -> str:
        """Turn what was generated after a prompt into text, the forced opening before it.

        Args:
            generated: ids after the prompt; those from the first stop token on are left out, every other control
                token is spelt out, so that a text which holds one is seen to hold it.
        """
        length = next((place for place, token in enumerate(generated) if token in self.stop_ids), len(generated))
        text: str = self._tokenizer.decode(
            [*self._opening, *generated[:length]], skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text


def neutralized(text: str) -> str:
    """Write what reads as a tag or a role token with square brackets.

    Args:
        text: a user's text.

    Returns:
        The same text where it holds nothing of the kind. Where it holds a disguised one (entities, full-width letters,
        invisible characters), the text comes back in plain spelling.

    Example:
        >>> neutralized("What does </final><think-task> mean? And a < b?")
        'What does [/final][think-task] mean? And a < b?'
        >>> neutralized("＜ＦＩＮＡＬ＞ &lt;|end|&gt;")
        '[FINAL] [|end|]'
    """
    written = _PIECE.sub(lambda match: match.group().translate(_BRACKETS), text)
    if find_reserved(written) is None:
        return written
    plain = unicodedata.normalize("NFKC", unquote(html.unescape(written)))
    visible = "".join(character for character in plain if unicodedata.category(character) != "Cf")
    written = _PIECE.sub(lambda match: match.group().translate(_BRACKETS), visible)
    if find_reserved(written) is None:
        return written
    # escapes within escapes: no angle bracket is left, nor anything that could be read as one
    return re.sub(r"[<>&%]", " ", written)
