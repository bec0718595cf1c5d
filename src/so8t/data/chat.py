"""Turns a conversation into Phi-3.5 chat token ids, without ever writing the chat text.

The ids follow the template ::

    <|system|>\\n..<|end|>\\n<|user|>\\n..<|end|>\\n<|assistant|>\\n..<|end|>\\n<|endoftext|>

but role tokens are put in by id and message texts are encoded with the tokenizer's added tokens switched off, so
that a user who types `<|end|>` gets those seven characters and no control token. Phi-3.5's role tokens swallow the
white space after them; the same is done here, so that for plain texts the ids equal those of
`tokenizer.apply_chat_template` (`difference_from_template` checks it on any tokenizer).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from so8t.data.assistant_text import PARTS
from so8t.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

SYSTEM_PROMPTS = {
    "ja": "あなたは慎重で親切なアシスタントです。課題、安全、方針の順に考えてから、最後に答えてください。",
    "en": "You are a careful and helpful assistant. Consider the task, safety and policy in turn, then answer.",
}
"""System prompt of a record that has none, by language.

The tags are not spelt out in it: a prompt that holds `<final>` could be mistaken for an answer.
"""

IGNORED = -100
"""Label of a token that takes no part in the loss."""

# What a token with `rstrip` swallows: Unicode's White_Space. Python's str.isspace has four control characters more.
_WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


@dataclass(frozen=True)
class EncodedChat:
    """One conversation of system, user and assistant.

    Attributes:
        input_ids: all token ids.
        labels: the same ids where the loss counts (the assistant's text, its `<|end|>` and the `<|endoftext|>`),
            -100 elsewhere; not shifted, the model does that.
    """

    input_ids: list[int]
    labels: list[int]

    @property
    def assistant_tokens(self) -> int:
        """Number of tokens in the loss."""
        return sum(label != IGNORED for label in self.labels)


class ChatEncoder:
    """Encodes conversations for one tokenizer.

    Args:
        tokenizer: a fast tokenizer that knows Phi-3.5's role tokens.

    Raises:
        ModelError: the tokenizer lacks a role token, or has no fast backend.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        core: Tokenizer | None = getattr(tokenizer, "backend_tokenizer", None)
        if core is None:
            raise ModelError("the model's tokenizer is not a fast one; save it with a tokenizer.json")
        self._core = core
        self._system = self._role("<|system|>")
        self._user = self._role("<|user|>")
        self._assistant = self._role("<|assistant|>")
        self._end = self._role("<|end|>")
        self._end_of_text = self._role("<|endoftext|>")
        added = tokenizer.added_tokens_decoder
        self._swallows = frozenset(number for number, token in added.items() if token.rstrip)

    def encode(self, system: str, user: str, assistant: str) -> EncodedChat:
        """Encode a whole conversation with its labels.

        Args:
            system: system prompt; empty leaves the system turn out, as the template does.
            user: the request.
            assistant: the answer, on which the loss is taken.

        Returns:
            Ids and labels, of equal length.
        """
        prompt = self.prompt(system, user)
        answer = [*self._text_after(self._assistant, assistant), self._end]
        between = self._line_end(self._end)
        return EncodedChat(
            input_ids=[*prompt, *answer, *between, self._end_of_text],
            labels=[IGNORED] * len(prompt) + answer + [IGNORED] * len(between) + [self._end_of_text],
        )

    def prompt(self, system: str, user: str) -> list[int]:
        """Encode a request up to where the assistant's text begins."""
        turns = [(self._system, system)] if system else []
        ids = []
        for role, text in [*turns, (self._user, user)]:
            ids += [role, *self._line_end(role), *self._text_after(role, text), self._end, *self._line_end(self._end)]
        return [*ids, self._assistant, *self._line_end(self._assistant)]

    def plain(self, text: str) -> list[int]:
        """Encode a text in which nothing is a control token, whatever it says."""
        normalizer, pre_tokenizer, model = self._core.normalizer, self._core.pre_tokenizer, self._core.model
        if normalizer is not None:
            text = normalizer.normalize_str(text)
        pieces = [piece for piece, _ in pre_tokenizer.pre_tokenize_str(text)] if pre_tokenizer is not None else [text]
        return [token.id for piece in pieces if piece for token in model.tokenize(piece)]

    def difference_from_template(self) -> str | None:
        """Compare with the tokenizer's own chat template on a small conversation.

        Returns:
            None if the ids are equal, else one sentence that says where they part. A model trained on other ids than
            its template gives at inference would be asked in a form it has never seen.
        """
        if self._tokenizer.chat_template is None:
            return "the tokenizer has no chat template"
        system, user = SYSTEM_PROMPTS["ja"], "水を100 ml量るには? Answer in one line.\n\n- a\n- b"
        assistant = "".join(f"<{tag}>Use a cup. 計量カップです。</{tag}>" for tag in PARTS)
        messages = [
            {"role": role, "content": text}
            for role, text in (("system", system), ("user", user), ("assistant", assistant))
        ]
        theirs = self._tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
        ours = self.encode(system, user, assistant).input_ids
        if theirs == ours:
            return None
        same = takewhile(lambda pair: pair[0] == pair[1], zip(theirs, ours, strict=False))
        place = sum(1 for _ in same)
        return (
            f"the tokenizer's chat template gives other ids than Phi-3.5's form, from token {place} on: "
            f"{theirs[place : place + 4]} instead of {ours[place : place + 4]}"
        )

    def _role(self, token: str) -> int:
        number = self._tokenizer.get_vocab().get(token)
        if number is None:
            raise ModelError(f"the model's tokenizer has no {token} token; use a Phi-3.5 checkpoint or its tokenizer")
        return int(number)

    def _line_end(self, after: int) -> list[int]:
        """The template's line end after a token, unless the token swallows it."""
        return [] if after in self._swallows else self.plain("\n")

    def _text_after(self, token: int, text: str) -> list[int]:
        return self.plain(text.lstrip(_WHITE_SPACE) if token in self._swallows else text)
