"""`so8t collect`: pages from reviewed sources, by the rules of each, with evidence of every decision."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kiseki.telling import counted
from so8t.errors import So8tError

if TYPE_CHECKING:
    from rich.console import Console

    from so8t.data.collect.decisions import Decision

_INTERRUPTED = 130
_SECONDS_BETWEEN_LINES = 5.0
_COLUMNS = (
    ("fetched", "取得"),
    ("kept", "採用"),
    ("dropped", "除外"),
    ("refused_by_robots", "robots"),
    ("refused_by_terms", "規約"),
    ("refused_by_scope", "範囲外"),
    ("stopped", "停止"),
    ("failed", "失敗"),
)


@click.command(short_help="Collect pages by rule, with evidence.")
@click.option(
    "--sources", required=True, metavar="FILE", type=click.Path(path_type=Path), help="YAML registry of sources."
)
@click.option("--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="The collection's folder.")
@click.pass_context
def collect(context: click.Context, sources: Path, out: Path) -> None:
    """Collect web pages from reviewed sources only: terms first, robots.txt to the letter, one request at a time.

    Every decision is a line in DIR/ledger.jsonl; pages stand in DIR/pages, listed in DIR/pages.jsonl; counts for the
    report in DIR/data_statement.json. A host that answers 403, 429, a CAPTCHA, a login or a paywall is not asked
    again. Ctrl-C ends in order; the same command goes on where it stopped. No option overrides a site's rules.

    \b
    Example:
      so8t collect --sources sources.yaml --out collected
      so8t clean collected --out cleaned

    \b
    sources.yaml:
      contact: https://example.org/crawler  # a page that says who collects
      sources:
        - id: city-library
          base_urls: [https://library.example.org/articles/]
          tier: 1                           # trust: 1 authorities, 2 institutions, 3 others
          terms_url: https://library.example.org/terms
          licence: CC-BY-4.0
          purpose: everyday knowledge for training answers
          allowed_paths: [/articles/]       # [/] for the whole site
          reviewed_by: data steward         # without a review of its terms a source is not fetched
          reviewed_at: 2026-11-01

    Also: seconds_between_requests, max_pages, max_depth, sitemaps, terms_sha256 (see docs/guide/data-policy.md).

    Exit code: 0 done, 1 the disk refused, or ledger or pages are damaged, 2 wrong use or bad input, 130 interrupted.
    """
    context.exit(collect_and_tell(sources, out))


def collect_and_tell(sources: Path, out: Path, **seams: Any) -> int:
    """Collect, show progress and say what came of it.

    Args:
        sources: the registry.
        out: the collection's folder.
        seams: further arguments of `run_collection`, for a site of one's own.

    Returns:
        The exit code.
    """
    try:
        from so8t.data.collect.registry import load_registry, review_warnings
        from so8t.data.collect.run import run_collection
    except ModuleNotFoundError as error:
        raise So8tError(f"collecting needs {error.name}: pip install 'kiseki[collect]'") from None
    from rich.console import Console

    console = Console(file=sys.stdout)
    for warning in review_warnings(load_registry(sources), date.today()):
        _tell(console, f"warning: {warning}")
    reasons: Counter[str] = Counter()
    with _shown_progress(console, reasons) as on_decision:
        collected = run_collection(sources, out, on_decision=on_decision, **seams)
    for line in _summary(collected.statement, collected.over_budget, out):
        _tell(console, line)
    if told := ", ".join(f"{reason} {count}" for reason, count in reasons.most_common()):
        _tell(console, f"  this run, not kept / 今回の不採用理由: {told}")
    if collected.interrupted:
        _tell(console, "interrupted: the same command goes on where this one stopped")
    return _INTERRUPTED if collected.interrupted else 0


def _summary(statement: dict[str, Any], over_budget: dict[str, int], out: Path) -> Iterator[str]:
    yield f"collected / 収集結果: {out}"
    width = max(len(source["id"]) for source in statement["sources"])
    for source in statement["sources"]:
        pages = source["pages"]
        counts = "  ".join(f"{name} {label} {pages[name]}" for name, label in _COLUMNS if pages[name] or name == "kept")
        left = over_budget.get(source["id"], 0)
        more = f"  ({left} more found than max_pages permits)" if left else ""
        yield f"  {source['id']:<{width}}  tier {source['tier']}  {counts}{more}"
    ledger = statement["ledger"]
    yield f"  ledger: {counted(ledger['lines'], 'line')}, sha256 {ledger['sha256']}"


@contextmanager
def _shown_progress(
    console: Console, reasons: Counter[str], monotonic: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[Decision], None]]:
    """Show counts while they grow: one moving line on a terminal, a line now and then elsewhere. Fills `reasons`."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("収集 / collecting {task.description}"), TimeElapsedColumn())
    counts: Counter[str] = Counter()
    said = monotonic()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def on_decision(decision: Decision) -> None:
            nonlocal said
            counts[decision.outcome.value] += 1
            if decision.file is None:
                reasons[decision.reason.value] += 1
            told = f"{counts.total()} decided, {counts['kept']} kept, tier {decision.tier}, {decision.source}"
            bar.update(task, description=told)
            if not console.is_terminal and monotonic() - said >= _SECONDS_BETWEEN_LINES:
                said = monotonic()
                _tell(console, told)

        yield on_decision


def _tell(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
