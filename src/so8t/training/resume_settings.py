"""Which settings a checkpoint has fixed: what was drawn, shaped or promised under them is in it, or in the record."""

from collections.abc import Sequence

_SHAPE = "it decides which weights are trained, and those in the checkpoint are others"
_DRAWN = "what it was to decide was drawn before the first step, and comes from the checkpoint"

FIXED = {
    "model.freeze_base_model": _SHAPE,
    "qlora.enabled": _SHAPE,
    "qlora.r": _SHAPE,
    "qlora.target_modules": _SHAPE,
    "qlora.bias": _SHAPE,
    "so8t.enabled": _SHAPE,
    "so8t.layer_indices": _SHAPE,
    "so8t.parameterization": "the numbers in the checkpoint are other rotations under it",
    "so8t.init": _DRAWN,
    "so8t.init_scale": _DRAWN,
    "training.seed": _DRAWN,
    "training.optim": "the checkpoint holds the state of the other optimizer",
    "poc.criteria": "a run is judged by the criteria that stood in its record before training",
}
"""Dotted key -> why resuming under another value would not be what it says."""


def fixed_among(changed: Sequence[str]) -> dict[str, str]:
    """Those of some differences that no resumed run can make true.

    Args:
        changed: a phrase for each difference, beginning with the key and a colon.

    Returns:
        Key -> why.

    Example:
        >>> fixed_among(["training.max_steps: 4 -> 6", "training.seed: 1 -> 2"]).keys()
        dict_keys(['training.seed'])
    """
    keys = [difference.partition(":")[0] for difference in changed]
    return {key: FIXED[key] for key in keys if key in FIXED}
