"""Input that a cleaning of tests reads, and a classifier of one word."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from so8t.data.clean.executors import LocalRunner
from so8t.data.clean.pipeline import run_cleaning
from so8t.data.clean.safety_block import Classifier
from so8t.data.clean.settings import Settings

PROSE = (
    "水道管の凍結を防ぐには、露出した配管に保温材を巻いてください。冬の朝は特に注意が必要です。",
    "図書館は駅の北口から歩いて五分ほどの場所にあり、平日は夜の八時まで開いています。自習室もあります。",
    "パンを焼くときは、生地をよく休ませることが大切です。温度と湿度で時間は変わります。焦らずに待ちましょう。",
    "山の天気は変わりやすいので、晴れていても雨具を持って出かけてください。早めの下山が安全につながります。",
    "この村では、秋になると田の畦に彼岸花が咲き、遠くから写真を撮りに来る人も増えました。静かな季節です。",
)


@dataclass(frozen=True)
class Judged:
    label: str
    action: str


class OneWordClassifier:
    """Blocks what holds 不適切, has what holds 要確認 reviewed, and discards what holds 破棄対象."""

    def classify(self, text: str) -> Judged:
        for word, verdict in (
            ("不適切", Judged("nsfw_block", "block")),
            ("要確認", Judged("self_harm", "review")),
            ("破棄対象", Judged("child_exploitation", "block")),
        ):
            if word in text:
                return verdict
        return Judged("safe", "pass")


def distinct(number: int) -> str:
    """Prose unlike that of any other number."""
    return (
        PROSE[number % len(PROSE)]
        + "".join(chr(0x4E00 + (number * 769 + k * 131) % 6000) for k in range(80))
        + "という。"
    )


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[[Iterable[Mapping[str, Any]]], Path]:
    def write(rows: Iterable[Mapping[str, Any]]) -> Path:
        path = tmp_path / "input.jsonl"
        with path.open("w", encoding="utf-8", newline="\n") as out:
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        return path

    return write


@pytest.fixture
def clean(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def run(
        source: Path,
        out: Path | None = None,
        workers: int = 1,
        load: Callable[[], Classifier] = OneWordClassifier,
        **settings: Any,
    ) -> dict[str, Any]:
        told = Settings(**{"licence": "CC0-1.0", "tier": "1", **settings})
        statement = run_cleaning(source, out or tmp_path / "out", told, LocalRunner(workers), load)
        assert statement is not None
        return statement

    return run


def records(out: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted((out / "data").glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


@pytest.fixture
def read_records() -> Callable[[Path], list[dict[str, Any]]]:
    return records


@pytest.fixture
def prose() -> Callable[[int], str]:
    return distinct


@pytest.fixture
def dropped() -> Callable[[dict[str, Any], str], dict[str, int]]:
    def of(statement: dict[str, Any], name: str) -> dict[str, int]:
        block = next(block for block in statement["cleaning"]["blocks"] if block["name"] == name)
        return dict(block["dropped"])

    return of
