"""The data policy: every rule names a test that is there, and both languages state the same rules."""

import re
from pathlib import Path

import msgspec
import pytest
import yaml
from click.testing import CliRunner

import so8t.cli
from so8t.data.collect.registry import Registry, Source, load_registry
from so8t.data.safety.purpose import PURPOSE

ROOT = Path(__file__).parents[2]
PAGES = {"ja": ROOT / "docs" / "guide" / "data-policy.ja.md", "en": ROOT / "docs" / "guide" / "data-policy.md"}


def rules(language: str) -> list[list[str]]:
    """The rows of the tables of rules, which have two cells of which the second is a test."""
    lines = PAGES[language].read_text(encoding="utf-8").partition("```")[0].splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return [row for row in rows if row not in (["規則", "示すテスト"], ["rule", "shown by"])]


def shown_by(language: str) -> list[tuple[str, str]]:
    cells = [re.fullmatch(r"\[.*\]\(\.\./\.\./(tests/[\w/]+\.py)\) `(test_\w+)`", row[1]) for row in rules(language)]
    assert all(cells), "every rule names its test"
    return [(cell[1], cell[2]) for cell in cells if cell]


def test_both_languages_state_the_same_rules_in_the_same_order() -> None:
    assert shown_by("ja") == shown_by("en")
    assert len(shown_by("en")) >= 40
    assert all(row[0] != other[0] for row, other in zip(rules("ja"), rules("en"), strict=True))


def test_every_test_that_a_rule_names_is_there() -> None:
    missing = [
        (path, test)
        for path, test in shown_by("en")
        if not (ROOT / path).is_file() or f"\ndef {test}(" not in (ROOT / path).read_text(encoding="utf-8")
    ]
    assert missing == []


@pytest.mark.parametrize("language", PAGES)
def test_the_purpose_of_the_nsfw_corpus_stands_on_the_page(language: str) -> None:
    assert f"\n> {PURPOSE[language]}\n" in PAGES[language].read_text(encoding="utf-8")


@pytest.mark.parametrize("language", PAGES)
def test_the_commands_that_are_shown_are_there(language: str) -> None:
    shown = re.findall(r"^so8t (\w+)", PAGES[language].read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(shown) == {"collect", "clean", "data"}
    assert set(shown) <= set(so8t.cli.commands.commands)


def registry_example(language: str) -> str:
    """The one example of a registry on the page."""
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGES[language].read_text(encoding="utf-8"), flags=re.DOTALL)
    return example


@pytest.mark.parametrize("language", PAGES)
def test_the_registry_on_the_page_is_read_as_it_stands(language: str, tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text(registry_example(language), encoding="utf-8")
    registry = load_registry(tmp_path / "sources.yaml")
    assert [source.reviewed for source in registry.sources] == [True, False]
    assert yaml.safe_load(registry_example("ja")) == yaml.safe_load(registry_example("en"))


@pytest.mark.parametrize(("language", "required", "none"), [("ja", "必須", "なし"), ("en", "required", "none")])
def test_the_page_names_every_key_of_the_registry_with_its_default(language: str, required: str, none: str) -> None:
    section = PAGES[language].read_text(encoding="utf-8").partition("```yaml")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]

    def shown(field: msgspec.structs.FieldInfo) -> str:
        default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
        return none if default is None else f"`{default}`"

    fields = [*msgspec.structs.fields(Registry), *msgspec.structs.fields(Source)]
    documented = [(row[0].strip("`"), row[-1]) for row in rows]
    assert documented == [(field.name, required if field.required else shown(field)) for field in fields]


def test_the_help_of_collect_shows_a_registry_that_is_read(tmp_path: Path) -> None:
    told = CliRunner().invoke(so8t.cli.commands, ["collect", "--help"]).output
    example = told.partition("sources.yaml:\n")[2].partition("\n\n")[0]
    (tmp_path / "sources.yaml").write_text(example, encoding="utf-8")
    assert load_registry(tmp_path / "sources.yaml").sources[0].reviewed
    missing = [key for key in (*Registry.__struct_fields__, *Source.__struct_fields__) if key not in told]
    assert missing == []
