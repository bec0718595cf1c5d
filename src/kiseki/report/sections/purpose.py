"""Why the work was done, and within which bounds: the author's words."""

from kiseki.report.document import Facts, Section
from kiseki.report.dossier import Dossier
from kiseki.report.sections.given import stated_blocks, stated_line
from kiseki.report.sections.wording import Speaker


def background_section(dossier: Dossier, say: Speaker) -> Section:
    """Background and purpose."""
    return Section(
        "background",
        say(ja="検証の背景と目的", en="Background and purpose"),
        (),
        (
            Section("background_text", say(ja="背景", en="Background"), stated_blocks(dossier, "background", say)),
            Section("purpose", say(ja="目的", en="Purpose"), stated_blocks(dossier, "purpose", say)),
        ),
    )


def scope_section(dossier: Dossier, say: Speaker) -> Section:
    """Scope, prerequisites and constraints."""
    return Section(
        "scope",
        say(ja="検証範囲・前提条件・制約事項", en="Scope, prerequisites and constraints"),
        (Facts(((say(ja="契約・対象業務", en="Contract"), stated_line(dossier, "contract", say)),)),),
        (
            Section("scope_text", say(ja="検証範囲", en="Scope"), stated_blocks(dossier, "scope", say)),
            Section(
                "prerequisites", say(ja="前提条件", en="Prerequisites"), stated_blocks(dossier, "prerequisites", say)
            ),
            Section("constraints", say(ja="制約事項", en="Constraints"), stated_blocks(dossier, "constraints", say)),
        ),
    )
