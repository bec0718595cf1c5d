"""On what the run ran: source code, command, machine, software, seeds."""

from collections.abc import Mapping
from typing import Any

from kiseki.report.document import Block, Code, Facts, Notice, Paragraph, Section, Table, Tone
from kiseki.report.dossier import UNKNOWN, Dossier
from kiseki.report.sections.given import as_mapping, lookup, setting, value_text, visible
from kiseki.report.sections.numbers import size
from kiseki.report.sections.wording import Speaker


def environment_section(dossier: Dossier, say: Speaker) -> Section:
    """The environment, as it was found when the latest attempt opened."""
    environment = as_mapping(dossier.environment)
    title = say(ja="検証環境", en="Environment")
    blocks: list[Block] = []
    if not environment:
        text = say(
            ja="学習環境の記録がないため、以下は不明です。", en="No environment was recorded; what follows is unknown."
        )
        blocks.append(Notice(Tone.CAUTION, text))
    elif len(dossier.attempts) > 1:
        text = say(
            ja="最後に環境が記録された試行のものです。",
            en="As found by the latest attempt that recorded its environment.",
        )
        blocks.append(Paragraph(text))
    return Section(
        "environment",
        title,
        tuple(blocks),
        (
            Section(
                "source_code", say(ja="ソースコードと起動方法", en="Source code and command"), _code(environment, say)
            ),
            Section("hardware", say(ja="ハードウェア", en="Hardware"), (Facts(_hardware(dossier, environment, say)),)),
            Section("software", say(ja="ソフトウェア", en="Software"), _software(environment, say)),
            Section(
                "seeds",
                say(ja="乱数シードと再現性", en="Seeds and determinism"),
                (Facts(_seeds(dossier, environment, say)),),
            ),
        ),
    )


def gpu_text(dossier: Dossier, say: Speaker) -> str:
    """Model of the accelerators and how many; unknown where nobody could be asked and training may have used one."""
    gpus = as_mapping(dossier.environment).get("gpus", UNKNOWN)
    if not isinstance(gpus, list):
        on_cpu = say(ja="なし（CPUで学習）", en="none (trained on the CPU)")
        return on_cpu if lookup(dossier, "device") == "cpu" else say.unknown
    counts: dict[tuple[str, Any], int] = {}
    for gpu in gpus:
        key = (str(gpu.get("name", UNKNOWN)), gpu.get("memory_bytes"))
        counts[key] = counts.get(key, 0) + 1
    told = [
        f"{value_text(name, say)} × {count}" + (f", {size(memory, say)}" if isinstance(memory, int) else "")
        for (name, memory), count in counts.items()
    ]
    return "; ".join(told) or say.none


def cpu_text(environment: Mapping[str, Any], say: Speaker) -> str:
    """Model of the processor and how many of its cores could be used."""
    cpu = environment.get("cpu")
    if not isinstance(cpu, Mapping):
        return say.unknown
    model, usable, count = (value_text(cpu.get(key, UNKNOWN), say) for key in ("model", "usable", "count"))
    return say(
        ja=f"{model}（論理コア{count}、使用可能{usable}）", en=f"{model} ({count} logical cores, {usable} usable)"
    )


def _code(environment: Mapping[str, Any], say: Speaker) -> tuple[Block, ...]:
    git = as_mapping(environment.get("git"))
    dirty = git.get("dirty", UNKNOWN)
    rows = (
        (say(ja="Gitコミット", en="Git commit"), value_text(git.get("commit", UNKNOWN), say)),
        (say(ja="ブランチ", en="Branch"), value_text(git.get("branch", UNKNOWN), say)),
        (
            say(ja="未コミットの変更", en="Uncommitted changes"),
            say(ja="あり", en="yes") if dirty is True else say.none if dirty is False else say.unknown,
        ),
        (say(ja="差分のSHA-256", en="SHA-256 of the diff"), _digest(git.get("diff_sha256", UNKNOWN), say)),
    )
    command = environment.get("command")
    blocks: list[Block] = [Facts(rows)]
    if dirty is True:
        text = say(
            ja="コミットされていない変更を含むソースコードで学習しています。コミットだけからは同じコードを復元できません。",
            en="Training ran from source code with uncommitted changes: the commit alone does not restore it.",
        )
        blocks.append(Notice(Tone.CAUTION, text))
    if isinstance(command, list) and command:
        note = say(
            ja="起動コマンド（秘密情報・個人名・パスは除去済み）：",
            en="Command (secrets, personal names and paths removed):",
        )
        blocks += [Paragraph(note), Code(" ".join(visible(str(word)) for word in command))]
    else:
        blocks.append(Facts(((say(ja="起動コマンド", en="Command"), say.unknown),)))
    return tuple(blocks)


def _digest(value: Any, say: Speaker) -> str:
    return say.none if value == "none" else value_text(value, say)


def _hardware(dossier: Dossier, environment: Mapping[str, Any], say: Speaker) -> tuple[tuple[str, str], ...]:
    memory = environment.get("memory_bytes")
    return (
        (say(ja="GPU", en="GPU"), gpu_text(dossier, say)),
        (say(ja="GPUドライバー", en="GPU driver"), _driver(dossier, environment, say)),
        (
            say(ja="学習に用いたデバイスの種類", en="Device trained on"),
            value_text(lookup(dossier, "device") or UNKNOWN, say),
        ),
        (say(ja="CPU", en="CPU"), cpu_text(environment, say)),
        (say(ja="主記憶", en="Memory"), size(memory, say) if isinstance(memory, int) else say.unknown),
    )


def _driver(dossier: Dossier, environment: Mapping[str, Any], say: Speaker) -> str:
    driver = environment.get("gpu_driver", UNKNOWN)
    return say.none if driver == UNKNOWN and lookup(dossier, "device") == "cpu" else value_text(driver, say)


def _software(environment: Mapping[str, Any], say: Speaker) -> tuple[Block, ...]:
    python, system = (as_mapping(environment.get(key)) for key in ("python", "system"))
    rows = (
        (say(ja="OS", en="Operating system"), _words(system, ("distribution", "name", "release", "machine"), say)),
        ("Python", _words(python, ("implementation", "version"), say)),
        ("CUDA", value_text(environment.get("cuda", UNKNOWN), say)),
        (say(ja="コンテナ", en="Container"), _container(environment.get("container", UNKNOWN), say)),
        (say(ja="ロケール", en="Locale"), value_text(environment.get("language", UNKNOWN), say)),
        (
            say(ja="タイムゾーン", en="Time zone"),
            _words(as_mapping(environment.get("time_zone")), ("name", "utc_offset"), say),
        ),
    )
    packages = as_mapping(environment.get("packages"))
    if not packages:
        return (Facts((*rows, (say(ja="主要パッケージ", en="Packages"), say.unknown))),)
    table = Table(
        head=(say(ja="パッケージ", en="Package"), say(ja="版", en="Version")),
        rows=tuple((visible(str(name)), value_text(version, say)) for name, version in packages.items()),
        caption=say(ja="主要パッケージ", en="Packages"),
    )
    return (Facts(rows), table)


def _seeds(dossier: Dossier, environment: Mapping[str, Any], say: Speaker) -> tuple[tuple[str, str], ...]:
    variables = as_mapping(environment.get("variables"))
    rows = [
        (say(ja="乱数シード", en="Seed"), setting(dossier, say, "training.seed", "arguments.seed", "seed")),
        (
            say(ja="データ順序のシード", en="Seed of the data order"),
            setting(dossier, say, "training.data_seed", "arguments.data_seed", "data_seed"),
        ),
        (
            say(ja="決定的動作の指定", en="Full determinism asked for"),
            setting(dossier, say, "training.full_determinism", "arguments.full_determinism", "full_determinism"),
        ),
    ]
    named = ("PYTHONHASHSEED", "CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES", "WORLD_SIZE")
    absent = say(ja="設定なし", en="not set") if environment else say.unknown
    rows += [(name, value_text(variables[name], say) if name in variables else absent) for name in named]
    rows += [(visible(str(name)), value_text(value, say)) for name, value in variables.items() if name not in named]
    return tuple(rows)


def _words(facts: Mapping[str, Any], keys: tuple[str, ...], say: Speaker) -> str:
    return " ".join(value_text(facts[key], say) for key in keys if facts.get(key, UNKNOWN) != UNKNOWN) or say.unknown


def _container(value: Any, say: Speaker) -> str:
    if value == "none seen":
        return say(ja="検出されず", en="none seen")
    return value_text(value, say)
