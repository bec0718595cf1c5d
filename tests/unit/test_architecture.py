"""What can be checked of the house by a machine: the direction of imports, and what importing costs."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_imports_point_one_way() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_help_of_both_commands_needs_no_heavy_library() -> None:
    program = (
        "import sys; from click.testing import CliRunner; import kiseki.cli, so8t.cli;"
        "heavy = {'torch', 'transformers', 'matplotlib', 'numpy', 'pandas'} & set(sys.modules); print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_nothing_committed_names_a_package_registry_or_a_path_of_a_machine() -> None:
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    hosts = ("pypi" + ".org", "pythonhosted" + ".org", "registry" + ".npmjs", "/ro" + "ot/", "deb.debian" + ".org")
    for name in names:
        path = ROOT / name
        if path.suffix in (".ttf", ".png") or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found = [host for host in hosts if host in text]
        assert not found, f"{name} names {found}"
