"""The card's section on data: sources, pages, cleaning and what NSFW text is for, as the data statement says."""

from collections.abc import Iterator, Sequence

from kiseki.report.card.table import cell
from kiseki.report.document import Facts, Paragraph, Table
from kiseki.report.dossier import Dossier
from kiseki.report.sections.statements import data_statement_blocks, nsfw_statement_blocks
from kiseki.report.sections.wording import Speaker


def data_section(dossier: Dossier, say: Speaker) -> Iterator[str]:
    """The section, with the report's own tables; nothing without a data statement."""
    blocks = (*data_statement_blocks(dossier, say), *nsfw_statement_blocks(dossier, say))
    if not blocks:
        return
    yield f"## {say(ja='データの収集と取り扱い', en='Collection and handling of data')}"
    for block in blocks:
        if isinstance(block, Paragraph):
            yield cell(block.text)
        elif isinstance(block, Facts):
            yield _rows(("", ""), block.rows)
        elif isinstance(block, Table):
            yield f"**{cell(block.caption)}**" if block.caption else ""
            yield _rows(block.head, block.rows, block.numeric)


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]], numeric: frozenset[int] = frozenset()) -> str:
    rule = ["---:" if column in numeric else "---" for column in range(len(head))]
    lines = [map(cell, head), rule, *(map(cell, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
