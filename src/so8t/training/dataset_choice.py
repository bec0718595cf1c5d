"""Which file of training records a run reads, when the configuration leaves that open."""

from pathlib import Path

from so8t.errors import DataError
from so8t.training.config_keys import DataConfig


def training_data_file(data: DataConfig) -> Path:
    """The file that `data.train_data` names, else the newest match, else the fallback.

    Newest is by modification time; of two of the same time the later name wins. Whether a named file exists and
    what stands in it is for the dataset's reader to say.

    Raises:
        DataError: No file matches, and there is no fallback with one.
    """
    if data.train_data is not None:
        return Path(data.train_data)
    tried = []
    if data.train_data_dir is not None:
        newest = _newest(Path(data.train_data_dir), data.train_data_pattern)
        if newest is not None:
            return newest
        tried.append(f"{data.train_data_dir} holds no {data.train_data_pattern}")
    if data.fallback_train_data is not None:
        fallback = Path(data.fallback_train_data)
        newest = _newest(fallback, "*.jsonl") if fallback.is_dir() else fallback
        if newest is not None and newest.is_file():
            return newest
        tried.append(f"data.fallback_train_data ({fallback}) gives no file either")
    raise DataError(f"no training data: {'; '.join(tried)}: name a file in data.train_data or --dataset")


def _newest(folder: Path, pattern: str) -> Path | None:
    files = [path for path in folder.glob(pattern) if path.is_file()] if folder.is_dir() else []
    return max(files, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)
