"""The two READMEs say the same, and what they name is there."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READMES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ja.md")}


def code_blocks(text: str) -> list[str]:
    """Fenced blocks without what follows a # or is drawn as a tree, which is translated."""
    blocks = re.findall(r"```(?:sh|powershell|python|yaml)\n(.*?)```", text, flags=re.DOTALL)
    return [re.sub(r"\s*#(?! メトリクス).*", "", block) for block in blocks]


def table_paths(text: str) -> list[list[str]]:
    rows = [line for line in text.splitlines() if line.startswith("|") and "tests/" in line]
    return [re.findall(r"`([\w./*-]+/[\w./*-]*)`", row) for row in rows]


def test_both_languages_show_the_same_commands() -> None:
    assert code_blocks(READMES["README.md"]) == code_blocks(READMES["README.ja.md"])


def test_both_languages_have_the_same_sections_and_table_rows() -> None:
    headings = [re.findall(r"^#+ ", text, flags=re.MULTILINE) for text in READMES.values()]
    assert headings[0] == headings[1]
    assert table_paths(READMES["README.md"]) == table_paths(READMES["README.ja.md"])
    counts = [sum(line.startswith("|") for line in text.splitlines()) for text in READMES.values()]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", READMES)
def test_everything_that_is_named_is_there(name: str) -> None:
    rows = table_paths(READMES[name])
    assert len(rows) >= 15, "the specification's table is there"
    missing = [path for row in rows for path in row if not (ROOT / path).exists()]
    links = [link for link in re.findall(r"\]\(([^)#:]+)\)", READMES[name]) if not (ROOT / link).exists()]
    files = re.findall(r"(?:configs|examples)[\\/][\w./\\-]+", READMES[name])
    gone = [path for path in files if not (ROOT / path.replace("\\", "/").rstrip(".")).exists()]
    assert (missing, links, gone) == ([], [], [])


@pytest.mark.parametrize("name", READMES)
def test_every_row_of_the_table_has_a_test_and_a_date(name: str) -> None:
    rows = [line for line in READMES[name].splitlines() if line.startswith("|") and "tests/" in line]
    for row in rows:
        assert re.search(r"\| 20\d\d-\d\d-\d\d \|$", row), row


@pytest.mark.parametrize("name", READMES)
def test_commands_that_are_shown_exist(name: str) -> None:
    import kiseki.cli
    import so8t.cli

    programs = {"kiseki": kiseki.cli.commands, "so8t": so8t.cli.commands}
    shown = re.findall(r"^(kiseki|so8t) (\w+)", READMES[name], flags=re.MULTILINE)
    assert shown
    for program, command in shown:
        assert command in programs[program].commands, f"{program} {command}"


def test_the_first_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = [b for b in re.findall(r"```python\n(.*?)```", READMES["README.md"], re.DOTALL) if "record_step" in b]
    exec(example, {"loss": 1.0, "lr": 0.1, "ppl": 2.7})
    assert {path.name for path in (tmp_path / "runs" / "mine").iterdir()} == {"metrics", "plots", "poc_reports"}


GUIDES = [(ROOT / "docs" / "guide" / name) for name in ("what-survives-what.md", "what-survives-what.ja.md")]


def shown_by(page: Path) -> list[tuple[str, str]]:
    return re.findall(r"\]\(\.\./\.\./(tests/[\w/]+\.py)\) `(test_\w+)`", page.read_text(encoding="utf-8"))


def test_what_survives_what_names_tests_that_are_there_the_same_in_both_languages() -> None:
    english, japanese = map(shown_by, GUIDES)
    assert english == japanese
    assert len(english) >= 20
    for page in GUIDES:
        rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
        assert len(rows) == len(english) + 1, "every row but the heading has its test"
    missing = [test for path, test in english if f"\ndef {test}(" not in (ROOT / path).read_text(encoding="utf-8")]
    assert missing == []


@pytest.mark.parametrize(("name", "ending"), [("README.md", ".md"), ("README.ja.md", ".ja.md")])
def test_every_page_of_the_documentation_is_listed(name: str, ending: str) -> None:
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "adr"}
    of_language = {page for page in pages if page.endswith(".ja.md") == (ending == ".ja.md")}
    listed = set(re.findall(r"^- \[(docs/[\w./-]+\.md)\]", READMES[name], flags=re.MULTILINE))
    assert of_language <= listed
    assert len(of_language) >= 8


@pytest.mark.parametrize("name", READMES)
def test_the_secrets_that_the_examples_make_are_not_committed(name: str) -> None:
    patterns = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    secrets = re.findall(r"--(?:key-file|sign) (\S+)", READMES[name])
    assert set(secrets) == {"audit.key", "kiseki_ed25519"}
    assert [secret for secret in secrets if not any(fnmatch(secret, pattern) for pattern in patterns)] == []
