"""The command line: one file per command. What is imported here is what `kiseki --help` has to wait for."""

import errno
import os
import sys
from collections.abc import Sequence

import click

from kiseki.cli.checkpoint import checkpoint
from kiseki.cli.export import export
from kiseki.cli.import_ import import_
from kiseki.cli.keygen import keygen
from kiseki.cli.pack import pack
from kiseki.cli.publish import publish
from kiseki.cli.report import report
from kiseki.cli.show import show
from kiseki.cli.timestamp import timestamp
from kiseki.cli.verify import verify
from kiseki.errors import KisekiError
from kiseki.terminal import accept_any_encoding

INTERRUPTED = 130
READER_GONE = 141
"""What a shell sees of a program that wrote into a closed pipe (128 + SIGPIPE)."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(package_name="kiseki", message="kiseki %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """Record a training run, show it, report it, prove it.

    \b
    Example:
      kiseki show runs/demo
      kiseki report runs/demo
      kiseki pack runs/demo --sign kiseki_ed25519 -o demo.zip
      kiseki verify demo.zip --key kiseki_ed25519.pub
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (checkpoint, export, import_, keygen, pack, publish, report, show, timestamp, verify):
    commands.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the process: 0 done, 1 the answer is no, 2 wrong use or bad input, 130 interrupted.

    What goes wrong is one line on stderr saying what, where and what to do; never a traceback for bad input.

    Args:
        arguments: the words after `kiseki`; those of the process by default.
    """
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; see `main`.

    Returns:
        The exit code.
    """
    accept_any_encoding()
    try:
        code = commands.main(args=arguments, prog_name="kiseki", standalone_mode=False)
    except KisekiError as error:
        return _say(str(error), error.exit_code)
    except click.UsageError as error:
        hint = f" (see: {error.ctx.command_path} --help)" if error.ctx else ""
        return _say(error.format_message() + hint, error.exit_code)
    except click.ClickException as error:
        return _say(error.format_message(), KisekiError.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted", INTERRUPTED)
    except SystemExit:  # click and rich end the process so when whoever reads our output has left
        return _leave_pipe()
    except OSError as error:
        if error.errno == errno.EPIPE:
            return _leave_pipe()
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{error.strerror or error}; check the path, permissions and free disk", 2)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _leave_pipe()
    return code if isinstance(code, int) else 0


def _say(message: str, code: int) -> int:
    # File names may hold anything; a terminal must not be steered by them.
    line = "".join(character if character.isprintable() else " " for character in message)
    click.echo(f"kiseki: error: {line}", err=True)
    return code


def _leave_pipe() -> int:
    # Python would complain once more when it flushes at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return READER_GONE
