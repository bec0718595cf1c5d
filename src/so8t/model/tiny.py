"""A small but real Phi-3 checkpoint folder, to try the whole training path on a CPU.

Everything a large checkpoint has is there and loads through the same `from_pretrained`: a configuration, weights in
safetensors, a tokenizer trained on given texts with Phi-3.5's special tokens, and Phi-3.5's chat template. Only the
sizes differ. The weights are random, drawn from the seed; the model knows nothing until it is trained.

The folder appears whole or not at all: it is built beside its destination and renamed.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Phi3Config, Phi3ForCausalLM, PreTrainedTokenizerFast

from so8t.errors import ModelError

BASE_TOKENS = ("<unk>", "<s>", "</s>")
"""Ids 0, 1 and 2, as in Phi-3.5."""

ROLE_TOKENS = (
    "<|endoftext|>",
    "<|assistant|>",
    "<|placeholder1|>",
    "<|placeholder2|>",
    "<|placeholder3|>",
    "<|placeholder4|>",
    "<|system|>",
    "<|end|>",
    "<|placeholder5|>",
    "<|placeholder6|>",
    "<|user|>",
)
"""Phi-3.5's eleven added tokens in its order; its ids are 32000 to 32010, here they follow the trained vocabulary."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' and message['content'] %}"
    "{{'<|system|>\\n' + message['content'] + '<|end|>\\n'}}"
    "{% elif message['role'] == 'user' %}"
    "{{'<|user|>\\n' + message['content'] + '<|end|>\\n'}}"
    "{% elif message['role'] == 'assistant' %}"
    "{{'<|assistant|>\\n' + message['content'] + '<|end|>\\n'}}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"
)
"""The chat template Phi-3.5-mini-instruct ships."""

DESCRIPTION_FILE = "tiny_model.json"
"""Written last into the folder: marks it as complete and as made here, which is what allows replacing it."""

_POSITIONS = 2048
# Phi-3's 0.02 suits a width of 3072. At a width of 128 it bounds the logits to about 2.5, and an adapter, which leaves
# the embeddings alone, could hardly learn: 120 LoRA steps took a loss of 6.3 to 3.9, with 0.06 to 0.7 (measured).
_INITIALIZER_RANGE = 0.06
_EMBEDDING_ROWS_MULTIPLE = 64  # Phi-3.5's matrix of 32064 rows for 32011 tokens is rounded the same way


class TinyModelDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What a tiny checkpoint was built from.

    Attributes:
        seed: seed of the weights.
        hidden: width of the residual stream.
        layers: number of decoder layers.
        heads: attention heads per layer.
        intermediate: width of the feed-forward layer.
        vocabulary: wanted number of tokens; few texts may give fewer.
        texts_sha256: SHA-256 of the texts, each followed by a zero byte.
        parameters: number of weights.
    """

    seed: int
    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    texts_sha256: str
    parameters: int = 0


def build(
    out: Path,
    texts: Sequence[str],
    *,
    seed: int = 0,
    hidden: int = 128,
    layers: int = 4,
    heads: int = 4,
    intermediate: int = 256,
    vocabulary: int = 2560,
    force: bool = False,
) -> Path:
    """Build a checkpoint folder, or leave the complete one that is there.

    The same arguments give the same bytes of weights and tokenizer. The caller's random state is not touched.

    Args:
        out: folder to create.
        texts: what the tokenizer learns from.
        seed: seed of the weights.
        hidden: width of the residual stream; a multiple of 8 (SO(8) blocks) and of twice `heads` (rotary pairs).
        layers: number of decoder layers.
        heads: attention heads per layer.
        intermediate: width of the feed-forward layer.
        vocabulary: wanted number of tokens, at least 270 (256 bytes and Phi-3.5's 14 tokens).
        force: replace a folder built here before.

    Returns:
        `out`.

    Raises:
        ModelError: sizes that cannot be, no text, or `out` holds something that was not built here.
    """
    _check_sizes(texts, hidden=hidden, layers=layers, heads=heads, intermediate=intermediate, vocabulary=vocabulary)
    if describe(out) is not None and not force:
        return out
    if out.exists() and describe(out) is None and (not out.is_dir() or any(out.iterdir())):
        raise ModelError(f"{out} exists and was not built by this; remove it or choose another folder (--out)")
    wanted = TinyModelDescription(
        seed=seed,
        hidden=hidden,
        layers=layers,
        heads=heads,
        intermediate=intermediate,
        vocabulary=vocabulary,
        texts_sha256=sha256_of_texts(texts),
    )
    with _appearing_whole(out) as folder:
        tokenizer = train_tokenizer(texts, vocabulary)
        tokenizer.save_pretrained(folder)
        model = create_model(tokenizer, wanted)
        model.save_pretrained(folder)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        complete = msgspec.structs.replace(wanted, parameters=parameters)
        (folder / DESCRIPTION_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(complete)) + b"\n")
    return out


def describe(folder: Path) -> TinyModelDescription | None:
    """Say what a tiny checkpoint folder was built from; None if it is not one, or not a whole one."""
    files = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    if not all((folder / name).is_file() for name in files):
        return None
    try:
        return msgspec.json.decode((folder / DESCRIPTION_FILE).read_bytes(), type=TinyModelDescription)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def sha256_of_texts(texts: Sequence[str]) -> str:
    """Hash texts so that a folder can say whether it was built from them."""
    return hashlib.sha256(b"".join(text.encode() + b"\0" for text in texts)).hexdigest()


def train_tokenizer(texts: Sequence[str], vocabulary: int = 2560) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer with Phi-3.5's special tokens and chat template.

    Its role tokens swallow the white space after them, as Phi-3.5's do; it pads on the left and adds no `<s>`.

    Args:
        texts: what it learns from.
        vocabulary: wanted number of tokens; few texts may give fewer.

    Returns:
        The tokenizer, not yet saved.
    """
    core = Tokenizer(models.BPE(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(ROLE_TOKENS),
        min_frequency=2,
        # Japanese has no spaces: without a limit whole sentences of a small corpus would become tokens.
        max_token_length=12,
        special_tokens=list(BASE_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    core.add_special_tokens(
        [AddedToken(token, rstrip=token != "<|endoftext|>", normalized=False, special=True) for token in ROLE_TOKENS]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        add_bos_token=False,
        clean_up_tokenization_spaces=False,
        model_max_length=_POSITIONS,
        chat_template=CHAT_TEMPLATE,
    )


def create_model(tokenizer: PreTrainedTokenizerFast, description: TinyModelDescription) -> Phi3ForCausalLM:
    """Draw a Phi-3 model from the seed, in float32.

    Args:
        tokenizer: gives the number of embedding rows and the special ids.
        description: sizes and seed.

    Returns:
        The model in evaluation mode.
    """
    end, assistant = tokenizer.convert_tokens_to_ids(["<|end|>", "<|assistant|>"])
    config = Phi3Config(
        vocab_size=-(-len(tokenizer) // _EMBEDDING_ROWS_MULTIPLE) * _EMBEDDING_ROWS_MULTIPLE,
        hidden_size=description.hidden,
        intermediate_size=description.intermediate,
        num_hidden_layers=description.layers,
        num_attention_heads=description.heads,
        num_key_value_heads=description.heads,
        max_position_embeddings=_POSITIONS,
        original_max_position_embeddings=_POSITIONS,
        initializer_range=_INITIALIZER_RANGE,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(description.seed)
        model = Phi3ForCausalLM(config).eval()
    model.generation_config.eos_token_id = [end, assistant, tokenizer.eos_token_id]
    return model


def _check_sizes(
    texts: Sequence[str], *, hidden: int, layers: int, heads: int, intermediate: int, vocabulary: int
) -> None:
    if not any(text.strip() for text in texts):
        raise ModelError("there is no text to train the tokenizer on; name a file with records (--text)")
    if min(hidden, layers, heads, intermediate) < 1 or hidden % 8 or hidden % (2 * heads):
        raise ModelError(
            f"hidden={hidden}, layers={layers}, heads={heads}, intermediate={intermediate} cannot be: all must be "
            "positive, hidden a multiple of 8 and of twice the number of heads"
        )
    least = 256 + len(BASE_TOKENS) + len(ROLE_TOKENS)
    if vocabulary < least:
        raise ModelError(f"vocabulary={vocabulary} is too small; {least} tokens are needed for all bytes and roles")


@contextmanager
def _appearing_whole(out: Path) -> Iterator[Path]:
    """Give a folder beside `out` that becomes `out` on success and is removed on failure."""
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        folder = scratch / "new"
        folder.mkdir()
        yield folder
        if out.exists():
            out.rename(scratch / "old")
        folder.rename(out)
    finally:
        shutil.rmtree(scratch)
