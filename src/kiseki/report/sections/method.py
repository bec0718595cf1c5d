"""What was trained and how, and where that is not what was asked for."""

from collections.abc import Mapping

from kiseki.report.document import Block, Facts, Notice, Section, Table, Tone
from kiseki.report.dossier import Dossier
from kiseki.report.sections.given import value_text, visible
from kiseki.report.sections.model import adapter_facts, model_facts, weight_files
from kiseki.report.sections.numbers import integer
from kiseki.report.sections.training import pet_blocks, training_facts
from kiseki.report.sections.wording import Speaker


def method_section(dossier: Dossier, say: Speaker) -> Section:
    """The settings a reader asks for first; all of them stand in appendix A."""
    return Section(
        "method",
        say(ja="モデル構成・学習条件", en="Model and training"),
        _differences(dossier, say),
        (
            Section("model", say(ja="モデル", en="Model"), (Facts(model_facts(dossier, say)),)),
            Section(
                "adapters",
                say(ja="LoRAとSO(8)回転ゲート", en="LoRA and SO(8) gates"),
                (Facts(adapter_facts(dossier, say)),),
            ),
            Section("pet", say(ja="PET正則化と学習段階", en="PET regularisation and phases"), pet_blocks(dossier, say)),
            Section("training", say(ja="学習条件", en="Training"), (Facts(training_facts(dossier, say)),)),
            Section(
                "weights",
                say(ja="モデルファイルの同一性", en="Identity of the model files"),
                (weight_files(dossier, say),),
            ),
        ),
    )


def _differences(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    if not isinstance(dossier.live, Mapping):
        text = say(
            ja="学習中のモデルの実際の構成は記録されていません。以下は設定に記載された値です。",
            en="What the live model really had was not recorded. What follows is what the settings say.",
        )
        return (Notice(Tone.NEUTRAL, text),)
    if not dossier.differences:
        text = say(
            ja="記録された実際の構成は、照合できた項目について設定と一致しています。",
            en="The live model and optimizer are as configured in everything that could be compared.",
        )
        return (Notice(Tone.GOOD, text),)
    count = integer(len(dossier.differences))
    text = say(
        ja=f"設定と実際の構成が異なる項目が{count}件あります。以下の本文では実際の値を優先しています。",
        en=f"Settings that are not what was asked for: {count}. Below, what the live model really has comes first.",
    )
    table = Table(
        head=(say(ja="設定項目", en="Setting"), say(ja="設定値", en="Asked for"), say(ja="実際の値", en="Live")),
        rows=tuple(
            (visible(one.name), value_text(one.config, say), value_text(one.live, say)) for one in dossier.differences
        ),
        caption=say(ja="設定と実際の構成の相違", en="Settings that differ"),
    )
    return (Notice(Tone.CAUTION, text), table)
