"""The largest memory in use since the last recorded row."""

import psutil
import torch


class PeakMemory:
    """Watches the training device: a CUDA device's allocator keeps its peak itself, elsewhere the process is sampled.

    Args:
        device: where the model is trained.

    Example:
        >>> memory = PeakMemory(torch.device("cpu"))
        >>> memory.sample()
        >>> memory.take() > 1_000_000
        True
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._process = psutil.Process()
        self._largest = 0

    def sample(self) -> None:
        """Look now; called once in every optimizer step. Does not wait for the device."""
        if self._device.type != "cuda":
            self._largest = max(self._largest, self._process.memory_info().rss)

    def take(self) -> int:
        """The largest use in bytes since the last call: allocated on a CUDA device, resident in memory elsewhere."""
        if self._device.type == "cuda":
            largest = torch.cuda.max_memory_allocated(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
            return largest
        largest, self._largest = self._largest, 0
        return largest
