"""Samples of the logits: what the model considered at each token, small enough to keep.

Of every position the most likely tokens with their logits, the logsumexp (logit - logsumexp is the log-probability)
and the entropy of the whole distribution are kept, instead of 32,064 numbers. Labels, which are training data, are not.
"""

from pathlib import Path

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor

TOP_K = 20
"""Tokens kept at each position."""

MOST_POSITIONS = 4096
"""Positions kept of one sample: about 700 kB."""

_CHUNK = 256
_PATTERN = "step_*.safetensors"


class LogitsSamples:
    """A folder of samples that keeps the newest ones.

    Args:
        folder: where the files stand; made when the first is written.
        every: optimizer steps between samples, at least 1.
        most_files: how many are kept, at least 1; the oldest are deleted, whichever process wrote them.

    Example:
        >>> import tempfile
        >>> samples = LogitsSamples(Path(tempfile.mkdtemp()), every=100, most_files=2)
        >>> samples.due(100), samples.due(101)
        (True, False)
        >>> samples.write(100, torch.zeros(1, 3, 50), None).name
        'step_00000100.safetensors'
    """

    def __init__(self, folder: Path, every: int, most_files: int) -> None:
        self.folder = folder
        self._every = every
        self._most_files = most_files

    def due(self, step: int) -> bool:
        """Whether optimizer step `step` is one to keep."""
        return step % self._every == 0

    def write(self, step: int, logits: Tensor, attention_mask: Tensor | None) -> Path:
        """Keep a sample; the file appears whole or not at all.

        Args:
            step: optimizer step, counted from 1.
            logits: [batch, tokens, vocabulary]; the first `MOST_POSITIONS` positions are kept.
            attention_mask: [batch, tokens], non-zero where a token is real.

        Returns:
            The file: `token_ids` int32 and `logits` float32 [positions, k], `logsumexp` and `entropy` (nats) float32
            [positions], `real_token` uint8 [positions], row after row; `batch`, `tokens` and `step` in its header.
        """
        tensors = summarise(logits, attention_mask)
        header = {"format": "pt", "step": str(step), "batch": str(logits.shape[0]), "tokens": str(logits.shape[1])}
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step_{step:08}.safetensors"
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(to_safetensors(tensors, header))
        partial.replace(path)
        self._delete_oldest()
        return path

    def _delete_oldest(self) -> None:
        # By age, not by step: after a restart from an earlier step the new samples have the lower numbers.
        by_age = sorted(self.folder.glob(_PATTERN), key=lambda file: (file.stat().st_mtime_ns, file.name))
        for old in by_age[: -self._most_files]:
            old.unlink(missing_ok=True)


@torch.no_grad()
def summarise(logits: Tensor, attention_mask: Tensor | None) -> dict[str, Tensor]:
    """Top-k, logsumexp and entropy of every position, on the CPU; see `LogitsSamples.write`."""
    flat = logits.detach().reshape(-1, logits.shape[-1])[:MOST_POSITIONS]
    # In chunks: the float32 copy and the probabilities of a whole batch would double the peak memory of a step.
    parts = [_summarise_chunk(flat[start : start + _CHUNK].float()) for start in range(0, len(flat), _CHUNK)]
    columns = {name: torch.cat([part[name] for part in parts]).cpu().contiguous() for name in parts[0]}
    mask = torch.ones(logits.shape[:2]) if attention_mask is None else attention_mask
    columns["real_token"] = (mask.reshape(-1)[: len(flat)] != 0).to("cpu", torch.uint8)
    return columns


def _summarise_chunk(logits: Tensor) -> dict[str, Tensor]:
    top = logits.topk(min(TOP_K, logits.shape[-1]), dim=-1)
    return {
        "token_ids": top.indices.to(torch.int32),
        "logits": top.values,
        "logsumexp": logits.logsumexp(dim=-1),
        # entr(0) is 0: a token masked out with -inf does not make the sum NaN.
        "entropy": torch.special.entr(logits.softmax(dim=-1)).sum(dim=-1),
    }
