"""What would be uploaded: chosen, redacted files only, copied aside so that what is shown is what is sent.

Never the journal, checkpoints, logits or data. What only the owner may see (configuration, environment) goes along,
redacted, only where the run is public.
"""

import difflib
import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kiseki.exporters.tensorboard import events_name, write_events
from kiseki.hub.repository import CARD
from kiseki.provenance.redaction import Redactor
from kiseki.report import side_files
from kiseki.report.card import to_card
from kiseki.report.dossier import Dossier
from kiseki.report.sections.given import lookup

_REPORT = re.compile(r"poc_(?:report|summary)_(?P<date>\d{8}_\d{6})(?:_(?P<number>\d+))?\.(?:json|csv|html|pdf)")


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file as it would be uploaded.

    Attributes:
        path: in the repository.
        source: the copy that is sent.
        bytes: its length.
        sha256: its digest, hex.
    """

    path: str
    source: Path
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be uploaded.

    Attributes:
        repo_id: where to.
        run_id: which run.
        files: all files, the card first.
        card_before: the card that stands there, None when there is none.
        card: the card as it would be.
    """

    repo_id: str
    run_id: str
    files: tuple[PlannedFile, ...]
    card_before: str | None
    card: str

    @property
    def bytes(self) -> int:
        """All files together."""
        return sum(file.bytes for file in self.files)

    @property
    def card_diff(self) -> str:
        """What would change in the card, as a unified diff; empty when nothing would."""
        lines = difflib.unified_diff(
            (self.card_before or "").splitlines(),
            self.card.splitlines(),
            f"{CARD} ({self.repo_id})",
            f"{CARD} (kiseki)",
            lineterm="",
        )
        return "\n".join(lines)


def is_public(dossier: Dossier) -> bool:
    """Whether the run's configuration lets anyone read it (`poc.confidentiality: public`)."""
    return bool(lookup(dossier, "poc.confidentiality") == "public")


def make_plan(dossier: Dossier, *, repo_id: str, language: str, card_before: str | None, workspace: Path) -> Plan:
    """Choose and copy the files, and make the card. Nothing in the run folder changes.

    Args:
        dossier: the facts.
        repo_id: `ORG/NAME`.
        language: `ja` or `en`, of the card.
        card_before: the card that stands in the repository, None when there is none.
        workspace: an empty folder that lives as long as the plan.

    Raises:
        UsageError: the card that stands there, or what the configuration states, cannot be used.
        OSError: a file cannot be read or copied.
    """
    card = to_card(dossier, language=language, repo_id=repo_id, existing=card_before)
    _write(workspace / CARD, card.encode("utf-8"))
    for source in _chosen(dossier):
        target = workspace / dossier.folder.relative(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    write_events(dossier.history, workspace / "runs" / events_name(dossier.history))
    if is_public(dossier):
        for name, content in _redacted(dossier).items():
            text = json.dumps(content, ensure_ascii=False, indent=2)
            _write(workspace / "metrics" / f"{name}.redacted.json", f"{text}\n".encode())
    paths = sorted(path for path in workspace.rglob("*") if path.is_file())
    files = [_planned(path, workspace) for path in paths]
    files.sort(key=lambda file: file.path != CARD)
    return Plan(repo_id, dossier.history.run_id, tuple(files), card_before, card)


def _chosen(dossier: Dossier) -> list[Path]:
    folder = dossier.folder
    views = [folder.training_json, folder.training_csv, folder.evaluation_json, folder.evaluation_csv]
    return [path for path in (folder.curves_png, *views) if path.is_file()] + _newest_report(folder.reports)


def _newest_report(reports: Path) -> list[Path]:
    """All files of the report that was made last."""
    found = [(match["date"], int(match["number"] or 1), path) for path in _listed(reports) if (match := _name(path))]
    newest = max(((date, number) for date, number, _ in found), default=None)
    return sorted(path for date, number, path in found if (date, number) == newest)


def _listed(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


def _name(path: Path) -> re.Match[str] | None:
    return _REPORT.fullmatch(path.name)


def _redacted(dossier: Dossier) -> Mapping[str, Any]:
    redactor = Redactor.of_this_machine(dossier.folder.root)
    contents = {name: side_files.latest(dossier.history, name)[0] for name in ("config", "environment")}
    return {name: redactor.value(content) for name, content in contents.items() if content is not None}


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _planned(path: Path, workspace: Path) -> PlannedFile:
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        return PlannedFile(path.relative_to(workspace).as_posix(), path, content.tell(), digest)
