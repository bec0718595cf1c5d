"""Numbers that still live on an accelerator: copied at the call, read later, so that recording never synchronises.

torch is not imported here. A tensor brings its own methods, and whoever made one has loaded torch already.
"""

import sys
from typing import Any

from kiseki.record.row import Refused


class HostCopy:
    """A 0-d device tensor on its way to the host.

    The value is copied, never referenced: training code zeroes its accumulators in place. `.to("cpu",
    non_blocking=True)` fills pinned memory behind the caller's back, so the event must have passed before it is read.

    Args:
        tensor: a tensor with one element, on a device other than the CPU.
    """

    def __init__(self, tensor: Any) -> None:
        self._host = tensor.detach().to("cpu", non_blocking=True)
        backend: Any = getattr(sys.modules.get("torch"), tensor.device.type, None)
        self._event: Any = backend.Event() if hasattr(backend, "Event") else None
        if self._event is not None:
            self._event.record()

    def item(self) -> float:
        """The number; waits for the copy if it has not arrived.

        Raises:
            Refused: the device was lost meanwhile, or the tensor holds more than one element.
        """
        try:
            if self._event is not None:
                self._event.synchronize()
            return float(self._host)
        except (RuntimeError, TypeError, ValueError) as error:
            raise Refused(f"its device gave no number: {error}") from None


def lives_on_a_device(value: object) -> bool:
    """Whether reading this value now would make the caller wait for an accelerator.

    Example:
        >>> lives_on_a_device(2.5)
        False
    """
    device_type = getattr(getattr(value, "device", None), "type", "cpu")
    return isinstance(device_type, str) and device_type != "cpu"
