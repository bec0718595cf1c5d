"""What can go wrong in so8t, as a tree.

::

    So8tError                 base; `exit_code` is what the command line returns
    ├── ConfigError           a configuration file or key is wrong (2)
    ├── ModelError            a model folder or a layer is not what it must be (2)
    ├── DataError             a dataset is missing, malformed or empty (2)
    ├── CheckpointError       a checkpoint cannot be resumed from (2)
    └── JobFailed             training started and did not finish (1)

Every message says what is wrong, where, and what to do next.
"""


class So8tError(Exception):
    """Base of everything so8t raises on purpose."""

    exit_code = 2


class ConfigError(So8tError):
    """A configuration file or one of its keys is wrong."""


class ModelError(So8tError):
    """A model folder, an architecture or a layer is not what it must be."""


class DataError(So8tError):
    """A dataset is missing, malformed or empty."""


class CheckpointError(So8tError):
    """A checkpoint or session cannot be resumed from."""


class JobFailed(So8tError):
    """Training started and did not finish."""

    exit_code = 1
