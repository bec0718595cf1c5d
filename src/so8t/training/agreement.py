"""How the ranks of one run decide alike: to stop, or to write a checkpoint, at the same optimizer step.

A rank that stopped by itself would leave the others waiting in their next collective. So nobody acts on what only it
knows (a signal, its clock): at the same places in the training loop all ranks bring a number, and act on the largest.
"""

from typing import Any

import torch
import torch.distributed as dist


class Agreement:
    """The largest of the numbers that all ranks bring.

    They travel over a gloo group of their own, from host to host: asking every optimizer step never makes a rank wait
    for its accelerator. A process that trains alone asks nobody.

    Example:
        >>> Agreement().largest(15)
        15
    """

    def __init__(self) -> None:
        self._group: Any = None

    def largest(self, own: int) -> int:
        """What the rank with the largest number brought; called by all ranks at the same places.

        Args:
            own: this rank's number.
        """
        if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
            return own
        if self._group is None:
            self._group = dist.new_group(backend="gloo")
        number = torch.tensor([own], dtype=torch.int64)
        dist.all_reduce(number, op=dist.ReduceOp.MAX, group=self._group)
        return int(number[0])
