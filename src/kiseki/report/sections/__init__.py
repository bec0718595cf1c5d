"""What the PoC report says: `build_document` turns the facts of a run into sections of text, in Japanese or English."""

from kiseki.report.document import Document
from kiseki.report.dossier import Dossier
from kiseki.report.sections.compute import compute_section
from kiseki.report.sections.cover import cover
from kiseki.report.sections.criteria import criteria_section
from kiseki.report.sections.data import data_section
from kiseki.report.sections.definitions import definitions_appendix
from kiseki.report.sections.environment import environment_section
from kiseki.report.sections.limits import limits_section
from kiseki.report.sections.method import method_section
from kiseki.report.sections.next_steps import next_steps_section
from kiseki.report.sections.purpose import background_section, scope_section
from kiseki.report.sections.record_quality import quality_section
from kiseki.report.sections.results import results_section
from kiseki.report.sections.safety import safety_section
from kiseki.report.sections.settings import settings_appendix
from kiseki.report.sections.summary import summary_section
from kiseki.report.sections.verification import verification_appendix
from kiseki.report.sections.wording import speaker
from kiseki.report.sections.words import words

__all__ = ["build_document"]

_SECTIONS = (
    summary_section,
    background_section,
    scope_section,
    criteria_section,
    environment_section,
    data_section,
    method_section,
    results_section,
    quality_section,
    safety_section,
    limits_section,
    compute_section,
    next_steps_section,
)
_APPENDICES = (settings_appendix, definitions_appendix, verification_appendix)


def build_document(dossier: Dossier, language: str) -> Document:
    """The PoC report in one language: the same sections, blocks and numbers in each.

    Args:
        dossier: the facts.
        language: `ja` or `en`.

    Raises:
        UsageError: there are no texts in that language.
    """
    say = speaker(language)
    return Document(
        language=language,
        cover=cover(dossier, say),
        sections=tuple(section(dossier, say) for section in _SECTIONS),
        appendices=tuple(appendix(dossier, say) for appendix in _APPENDICES),
        generated_at=dossier.generated_at,
        words=words(say),
    )
