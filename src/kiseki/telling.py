"""Telling the user: counts in words, and the `kiseki` logger, loaded only when there is something to say.

`import kiseki` stands at the top of training scripts and must cost them nothing they do not use; logging, with what it
loads, is a fifth of it.
"""


def warn(message: str, *values: object) -> None:
    """Say it as a warning; like every logger's, it reaches standard error unless the program says otherwise."""
    import logging

    logging.getLogger("kiseki").warning(message, *values)


def counted(count: int, noun: str, style: str = "") -> str:
    """A count with its noun, in English.

    Args:
        count: how many.
        noun: of one.
        style: how the count is written, such as `,`.

    Example:
        >>> counted(0, "row"), counted(1, "row"), counted(1200, "row", ",")
        ('0 rows', '1 row', '1,200 rows')
    """
    return f"{count:{style}} {noun}" if count == 1 else f"{count:{style}} {noun}s"
