"""The command line of so8t: one file per command. What is imported here is what `so8t --help` has to wait for."""

import sys
from collections.abc import Sequence

import click

from kiseki.errors import KisekiError
from kiseki.terminal import accept_any_encoding
from so8t.cli.audit import audit
from so8t.cli.bake import bake
from so8t.cli.clean import clean
from so8t.cli.collect import collect
from so8t.cli.data import data
from so8t.cli.heads import heads
from so8t.cli.safety import safety
from so8t.cli.serve import serve
from so8t.cli.serve_statement import serve_statement
from so8t.cli.train import train
from so8t.errors import So8tError

INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(package_name="kiseki", message="so8t %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """Train SO(8)-rotation language models; the record and the report are kiseki's.

    \b
    Example:
      so8t data validate examples/data/quadruple_thinking_train.jsonl
      so8t train --config configs/demo.yaml
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (audit, bake, clean, collect, data, heads, safety, serve, serve_statement, train):
    commands.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the process.

    Exit codes: 0 done, 1 training failed or a row is bad, 2 wrong use or bad input, 130 or 143 interrupted. What goes
    wrong is one line on stderr saying what, where and what to do; never a traceback for bad input.

    Args:
        arguments: the words after `so8t`; those of the process by default.
    """
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the words after `so8t`; those of the process by default.

    Returns:
        The exit code.
    """
    accept_any_encoding()
    try:
        code = commands.main(args=arguments, prog_name="so8t", standalone_mode=False)
    except (So8tError, KisekiError) as error:
        return _say(str(error), error.exit_code)
    except click.UsageError as error:
        hint = f" (see: {error.ctx.command_path} --help)" if error.ctx else ""
        return _say(error.format_message() + hint, error.exit_code)
    except click.ClickException as error:
        return _say(error.format_message(), So8tError.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _say(message: str, code: int) -> int:
    # File names and YAML may hold anything: one line stays one line, and a terminal is not steered by it.
    line = "".join(character if character.isprintable() else " " for character in message)
    click.echo(f"so8t: error: {line}", err=True)
    return code
