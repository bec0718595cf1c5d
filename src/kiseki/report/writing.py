"""Puts the files of one report in place: under one timestamp, never over another, none half-written.

JSON and CSV come first, both or none. A rendering that cannot be made or written costs itself alone, and is told.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from kiseki.errors import KisekiError, RunFolderError
from kiseki.filesystem import write_new

Parts = Callable[[], Iterable[bytes]]
"""Gives a content part by part, from the beginning each time it is called."""


@dataclass(frozen=True, slots=True)
class Written:
    """What stands now.

    Attributes:
        paths: path by format.
        failed: why a rendering is missing, by format.
    """

    paths: dict[str, Path]
    failed: dict[str, str]


def write_report(
    target: Path,
    names: Mapping[str, str],
    data: Mapping[str, Parts],
    renderings: Mapping[str, Callable[[], bytes]],
    timestamp: str,
) -> Written:
    """Write a report.

    Args:
        target: the folder; made when it is not there.
        names: file name by format, with `{}` for the timestamp; also of formats that are not written now.
        data: contents that stand or fall together.
        renderings: what makes the others, one after the other.
        timestamp: names the files; another report of that name makes it `{timestamp}_2`.

    Raises:
        RunFolderError: the folder or one of `data` cannot be written; nothing of this report is left.
    """
    if not (data or renderings):
        return Written({}, {})
    try:
        paths, stamp = _write_together(target, names, data, timestamp)
    except OSError as error:
        raise RunFolderError(
            f"{target}: the report cannot be written ({error.strerror or error}); "
            f"free some disk or check permissions, or choose another folder with --out"
        ) from error
    failed: dict[str, str] = {}
    for kind, render in renderings.items():
        path = target / names[kind].format(stamp)
        try:
            write_new(path, render())
        except (KisekiError, OSError, ImportError) as error:
            failed[kind] = f"{path.name}: {error}"
        else:
            paths[kind] = path
    return Written(paths, failed)


def _write_together(
    target: Path, names: Mapping[str, str], data: Mapping[str, Parts], timestamp: str
) -> tuple[dict[str, Path], str]:
    for number in count(1):
        stamp = timestamp if number == 1 else f"{timestamp}_{number}"
        paths = {kind: target / name.format(stamp) for kind, name in names.items()}
        if any(path.exists() for path in paths.values()):
            continue
        written: list[Path] = []
        try:
            for kind, content in data.items():
                write_new(paths[kind], content())
                written.append(paths[kind])
        except FileExistsError:  # another process was quicker: its files are whole, ours take the next number
            if target.is_dir():
                _remove(written)
                continue
            raise
        except BaseException:
            _remove(written)
            raise
        return {kind: paths[kind] for kind in data}, stamp
    raise AssertionError("unreachable: the numbers do not end")


def _remove(written: list[Path]) -> None:
    for path in written:
        path.unlink(missing_ok=True)
