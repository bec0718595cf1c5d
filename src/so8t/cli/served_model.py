"""What `so8t serve` serves: finds it on disk, loads it, and names who judges what it writes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from so8t.errors import ConfigError

if TYPE_CHECKING:
    from so8t.data.safety.heads import HeadsJudge
    from so8t.model.bake_source import Source
    from so8t.serve.generation import Generator

__all__ = ["ServedModel", "check", "digest_of", "find", "find_heads", "load"]


class ServedModel(NamedTuple):
    """Where the model comes from and where it runs.

    Attributes:
        folder: what `--model` names.
        base: the base model's folder, where the run does not know it.
        upstream: URL of the server that generates; None: this process does.
        upstream_model: name of the model there.
        upstream_token: file with the token for it.
        cpu: leave the GPU alone.
        batch: requests generated together.
    """

    folder: Path
    base: Path | None
    upstream: str | None
    upstream_model: str | None
    upstream_token: Path | None
    cpu: bool
    batch: int


def check(model: ServedModel) -> None:
    """Refuse what cannot be before PyTorch is loaded, which takes seconds, and before anything is written.

    Raises:
        ConfigError: the folder is none, or the upstream is no URL.
    """
    from so8t.serve.upstream import Address

    if not model.folder.is_dir():
        what = "is a file" if model.folder.exists() else "does not exist"
        raise ConfigError(
            f"model folder {model.folder} {what}: name one that so8t train or so8t bake wrote with --model"
        )
    if model.upstream is not None:
        Address.of(model.upstream)


def find(model: ServedModel) -> Source:
    """Find what is served: a run's final model, a checkpoint of one, or a folder with whole weights.

    Raises:
        So8tError: the folder is nothing of the kind.
    """
    from so8t.cli.bake import find_source
    from so8t.model.attach import GATES_FILE
    from so8t.model.bake_source import Source
    from so8t.training.preflight import check_model_folder

    folder = model.folder
    if (folder / "training_session.json").exists() or (folder / "final").is_dir():
        return find_source(folder, None, model.base)
    if (folder / "adapter_config.json").exists() or (folder / GATES_FILE).exists():
        run = folder.resolve().parent
        return find_source(run.parent if run.name == "checkpoints" else run, folder, model.base)
    if model.upstream is None:
        check_model_folder(folder)
    return Source(checkpoint=folder, base=folder, base_name=folder.resolve().name, has_gates=False)


def find_heads(model: ServedModel, source: Source, *, wanted: bool | None) -> Path | None:
    """Find the safety heads that are asked.

    Args:
        model: what is served.
        source: where it stands.
        wanted: True demands them, False leaves them alone, None takes them where they are.

    Returns:
        The file beside the weights; None if heads are not asked.

    Raises:
        ConfigError: they are demanded, and cannot be asked.
    """
    from so8t.model.heads import HEADS_FILE

    if wanted is False or (wanted is None and model.upstream is not None):
        return None
    if model.upstream is not None:
        raise ConfigError("--heads read the model's hidden states, which --upstream does not give: leave one out")
    file = source.checkpoint / HEADS_FILE
    if file.is_file():
        return file
    if wanted:
        raise ConfigError(f"{file} does not exist: make it with so8t heads train, or leave --heads out")
    return None


def load(model: ServedModel, source: Source, heads: Path | None) -> tuple[Generator, HeadsJudge | None]:
    """Load who generates, and the heads that judge beside it.

    Args:
        model: what is served.
        source: where it stands.
        heads: file of the heads; None for none.

    Raises:
        ModelError: the model or its heads cannot be loaded.
    """
    from so8t.serve.engine import Engine
    from so8t.serve.loading import load_heads_judge, load_model, load_tokenizer, serving_device
    from so8t.serve.prompting import Prompting
    from so8t.serve.settings import read_token
    from so8t.serve.upstream import Address, Upstream

    tokenizer = load_tokenizer(source.checkpoint, source.base)
    if model.upstream is not None:
        token = read_token(model.upstream_token) if model.upstream_token else None
        name = model.upstream_model or model.folder.resolve().name
        return Upstream(Address.of(model.upstream), name, Prompting(tokenizer), token), None
    loaded = load_model(source, serving_device(force_cpu=model.cpu))
    judge = load_heads_judge(heads, loaded, tokenizer) if heads else None
    return Engine(loaded, Prompting(tokenizer), model.batch), judge


def digest_of(source: Source) -> str:
    """One SHA-256 over the digests of all weight files that are served, by name."""
    from so8t.model.weight_files import digest_weights

    folders = dict.fromkeys((source.checkpoint, source.base))
    lines = [f"{file.sha256}  {name}\n" for folder in folders for name, file in digest_weights(folder).items()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
