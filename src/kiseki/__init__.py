"""kiseki (軌跡): records a training run, shows it, reports it and proves it.

>>> from kiseki import TrainingMetricsRecorder
"""

from kiseki.errors import ForeignRun, JournalDamaged, KisekiError, RunFolderError, RunLocked, UsageError
from kiseki.recorder import TrainingMetricsRecorder

__all__ = [
    "ForeignRun",
    "JournalDamaged",
    "KisekiError",
    "RunFolderError",
    "RunLocked",
    "TrainingMetricsRecorder",
    "UsageError",
]
