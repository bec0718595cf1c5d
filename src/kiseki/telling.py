"""Telling the user: the `kiseki` logger, loaded only when there is something to say.

`import kiseki` stands at the top of training scripts and must cost them nothing they do not use; logging, with what it
loads, is a fifth of it.
"""


def warn(message: str, *values: object) -> None:
    """Say it as a warning; like every logger's, it reaches standard error unless the program says otherwise."""
    import logging

    logging.getLogger("kiseki").warning(message, *values)
