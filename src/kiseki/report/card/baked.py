"""What was baked into ordinary weights, where a folder of the run says so."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from kiseki.provenance.redaction import Redactor
from kiseki.report.card.table import cell
from kiseki.report.dossier import Dossier
from kiseki.report.sections.given import value_text
from kiseki.report.sections.wording import Speaker

_FACTS = "so8t_bake.json"


def baked_section(dossier: Dossier, say: Speaker) -> Iterator[str]:
    """The section; nothing where nothing of this run was baked inside its folder."""
    facts = next(_found(dossier.folder.root, dossier.history.run_id), None)
    if facts is None:
        return
    yield f"## {say(ja='重みへの焼き込み', en='What was baked into the weights')}"
    verification = facts.get("verification")
    difference = verification.get("max_abs_difference") if isinstance(verification, Mapping) else None
    lora = facts.get("lora")
    rank = lora.get("r") if isinstance(lora, Mapping) else None
    rows = [
        (say(ja="チェックポイント", en="Checkpoint"), facts.get("checkpoint")),
        (say(ja="ベースモデル", en="Base model"), facts.get("base_model")),
        (say(ja="保存精度", en="Precision"), facts.get("dtype")),
        (say(ja="統合したLoRAのランク", en="Rank of the LoRA merged"), rank),
        (say(ja="統合したSO(8)ゲートの層", en="Layers whose SO(8) gate was merged"), facts.get("gate_layers")),
        (say(ja="学習済みモデルとのロジット差（最大）", en="Largest difference of a logit"), difference),
    ]  # fmt: skip
    lines = [f"| {name} | {cell(value_text(value, say)) if value is not None else say.none} |" for name, value in rows]
    yield "\n".join(["| | |", "| --- | --- |", *lines])


def _found(root: Path, run_id: str) -> Iterator[dict[str, Any]]:
    redactor = Redactor.of_this_machine(root)
    for path in sorted((*root.glob(_FACTS), *root.glob(f"*/{_FACTS}"))):
        try:
            facts = msgspec.json.decode(path.read_bytes())
        except (OSError, msgspec.DecodeError):
            continue
        if isinstance(facts, dict) and facts.get("run_id") == run_id:
            cleaned = redactor.value(facts)
            assert isinstance(cleaned, dict)
            yield cleaned
