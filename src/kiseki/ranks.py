"""The journals of all ranks of a run, merged at reading: world process zero's, and those that others kept."""

from collections.abc import Iterator

from kiseki.errors import RunFolderError
from kiseki.history import History, read_history
from kiseki.record.opening import recorded_ranks
from kiseki.rows import JsonObject
from kiseki.run_folder import RunFolder


def read_ranks(folder: RunFolder) -> dict[int, History]:
    """Every rank's history, in order of ranks.

    Raises:
        RunFolderError: nobody recorded here.
        JournalDamaged: a journal is not what its writer wrote.
    """
    folders = [RunFolder(folder.root), *recorded_ranks(folder)]
    histories = {one.rank: read_history(one) for one in folders if one.journal.exists()}
    if not histories:
        raise RunFolderError(f"{folder.root}: no rank recorded here; name the output folder of a recorded run")
    return histories


def merged(histories: dict[int, History]) -> Iterator[JsonObject]:
    """The rows that count of every rank, each with its `rank`, by step and then by rank: the same every time."""
    rows = [
        (step, rank, position)
        for rank, history in histories.items()
        for position, step in enumerate(history.rows.steps)
    ]
    decoded = {rank: list(history.rows.decoded()) for rank, history in histories.items()}
    return ({**decoded[rank][position], "rank": rank} for _, rank, position in sorted(rows))
