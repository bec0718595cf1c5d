"""What can go wrong in kiseki, as a tree.

::

    KisekiError               base; `exit_code` is what the command line returns
    ├── UsageError            an argument is wrong: it names the value, what was expected, what to do (2)
    ├── RunFolderError        the folder is no run folder, or cannot be written (2)
    │   ├── RunLocked         another process records into it now (2)
    │   └── ForeignRun        resuming something that is another run or configuration (2)
    ├── JournalDamaged        bytes inside the record are not what was written (1)
    └── ReportIncomplete      JSON and CSV stand, a rendering of them could not be made (1)

Nothing of this is raised by `record_step`: what fails there is counted and reported instead.
"""


class KisekiError(Exception):
    """Base of everything kiseki raises on purpose."""

    exit_code = 2


class UsageError(KisekiError):
    """An argument is wrong."""


class RunFolderError(KisekiError):
    """The folder is no run folder, or it cannot be read or written."""


class RunLocked(RunFolderError):
    """Another process records into this run folder now."""


class ForeignRun(RunFolderError):
    """The caller resumes something that is another run, or the same run under another configuration."""


class JournalDamaged(KisekiError):
    """Bytes before the end of the journal are not what the writer wrote."""

    exit_code = 1


class ReportIncomplete(KisekiError):
    """A rendering of the report could not be made; the others, JSON and CSV among them, stand."""

    exit_code = 1
