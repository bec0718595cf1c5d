"""`so8t data`: looks at training data before a GPU does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click
import msgspec

from kiseki.telling import counted
from so8t.cli.data_statement import statement
from so8t.data.thinking import ReadResult, read_records
from so8t.errors import DataError


@click.group()
def data() -> None:
    """Check training data, and say where it comes from."""


data.add_command(statement)


@data.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option(
    "--max-problems", type=click.IntRange(min=0), metavar="N", help="Show at most N problems per file.  [default: all]"
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file instead of text.")
@click.pass_context
def validate(context: click.Context, files: tuple[Path, ...], max_problems: int | None, as_json: bool) -> None:
    """Check quadruple-thinking files; name line and field of every bad row.

    Refused as well is a row in which blocked text is what the assistant says: such text may only be a prompt that is
    declined.

    \b
    Example:
      so8t data validate examples/data/quadruple_thinking_train.jsonl

    Exit code: 0 if every row is good, 1 if a row is bad, 2 if a file cannot be read.
    """
    from so8t.data.safety.guard import Guard

    guard = Guard()
    code = 0
    for file in files:
        try:
            result = read_records(file, guard=guard)
        except DataError as error:
            code = 2
            if as_json:
                click.echo(msgspec.json.encode({"file": str(file), "error": str(error)}).decode())
            else:
                click.echo(f"so8t: error: {error}", err=True)
            continue
        if result.problems:
            code = max(code, 1)
        click.echo(_as_json(file, result, max_problems) if as_json else _as_text(file, result, max_problems))
    context.exit(code)


def _counts(result: ReadResult) -> dict[str, dict[str, int]]:
    records = result.records
    return {
        "labels": _count([record.safety_label.value for record in records]),
        "languages": _count([record.language for record in records]),
        "domains": _count([record.domain_label.value if record.domain_label else "none" for record in records]),
        "licences": _count([record.source.license for record in records]),
        "tiers": _count([record.source.tier for record in records]),
    }


def _count(values: list[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _as_json(file: Path, result: ReadResult, max_problems: int | None) -> str:
    found = {
        "file": str(file),
        "sha256": result.sha256,
        "good_rows": len(result.records),
        "bad_rows": result.bad_rows,
        **_counts(result),
        "problems": [
            {"line": problem.line, "field": problem.field, "message": problem.message}
            for problem in result.problems[:max_problems]
        ],
        "problems_found": len(result.problems),
    }
    return msgspec.json.encode(found).decode()


def _as_text(file: Path, result: ReadResult, max_problems: int | None) -> str:
    lines = [f"{file}: {counted(len(result.records), 'good row')}, {counted(result.bad_rows, 'bad row')}"]
    if result.records:
        lines += [
            f"  {name:<10}" + "  ".join(f"{value} {count}" for value, count in counts.items())
            for name, counts in _counts(result).items()
        ]
    shown = result.problems[:max_problems]
    lines += [f"  {problem}" for problem in shown]
    if len(shown) < len(result.problems):
        left = counted(len(result.problems) - len(shown), "more problem")
        lines.append(f"  and {left} (raise --max-problems to see all)")
    return "\n".join(lines)
