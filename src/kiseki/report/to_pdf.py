"""The report as PDF: A4, PDF/A-3b and PDF/UA-1, the report's JSON inside. The only place that loads typst.

All text reaches typst as data (`json`), never as markup, so nothing a run is named can change the page. Fonts are
kiseki's own and no package is ever fetched; the bytes depend on the document and its date alone.
"""

import json
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import typst

from kiseki.curves.style import FONT_PATH
from kiseki.errors import KisekiError
from kiseki.report.document import Document
from kiseki.report.pdf.layout import lay_out
from kiseki.report.pdf.packing import pack_objects


class PdfNotMade(KisekiError):
    """The document could not be set as PDF; no other format of the report is touched by it."""

    exit_code = 1


def to_pdf(document: Document, attachment: bytes | None = None, attachment_name: str = "poc_report.json") -> bytes:
    """Set a document as PDF.

    Args:
        document: the report in one language.
        attachment: the report's JSON without its history, UTF-8, which is embedded as the data behind the document.
        attachment_name: its file name in the PDF.

    Returns:
        The PDF: tagged, with bookmarks, fonts embedded, curves as vectors. The same arguments give the same bytes.

    Raises:
        PdfNotMade: typst refused the document or warned of something, such as a glyph that is missing.
    """
    layout = lay_out(document, attachment, attachment_name)
    sources: Any = {  # typst's own types leave out that several files may be given by name
        "main.typ": files("kiseki.report.pdf").joinpath("report.typ").read_bytes(),
        "data.json": json.dumps(layout.data, ensure_ascii=False).encode("utf-8"),
        **layout.diagrams,
    }
    if attachment is not None:
        sources["attachment"] = attachment
    try:
        pdf, warnings = typst.compile_with_warnings(
            sources,
            font_paths=[FONT_PATH.parent],
            ignore_system_fonts=True,
            format="pdf",
            pdf_standards=["a-3b", "ua-1"],
            timestamp=datetime.fromisoformat(document.generated_at).astimezone(UTC).replace(microsecond=0),
        )
    except RuntimeError as error:  # typst's own error is one, too
        raise PdfNotMade(f"the report could not be set as PDF: {error}") from error
    if warnings:
        told = "; ".join(warning.message for warning in warnings)
        raise PdfNotMade(f"the report was not set as PDF, because typst warned: {told}")
    return pack_objects(bytes(pdf))
