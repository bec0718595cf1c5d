"""so8t: trains SO(8)-rotation language models under PET regularisation, with kiseki as its record."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from so8t.training.trainer import SO8TPETTrainer

__all__ = ["SO8TPETTrainer"]


def __getattr__(name: str) -> Any:
    """Load the trainer when it is first asked for: it brings PyTorch along, which takes seconds."""
    if name == "SO8TPETTrainer":
        from so8t.training.trainer import SO8TPETTrainer

        return SO8TPETTrainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
