"""Builds models/tiny-phi3: a real Phi-3 checkpoint folder of about a million weights, for trying things on a CPU.

    python examples/build_tiny_phi3.py

The weights are random; the tokenizer is trained on the sample records. Run again, it leaves a complete folder as it is.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from so8t.data.thinking import read_records
from so8t.data.thinking_record import render_assistant
from so8t.errors import DataError, So8tError
from so8t.model.tiny import build, describe, sha256_of_texts

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "examples" / "data" / "quadruple_thinking_train.jsonl"


def texts_of(files: list[Path]) -> list[str]:
    """Collect what the tokenizer is to learn from: every text of every record."""
    texts: list[str] = []
    for file in files:
        result = read_records(file)
        if result.problems:
            raise DataError(
                f"{file} has bad rows ({result.bad_rows}), the first: {result.problems[0]}; "
                f"to see all of them: so8t data validate {file}"
            )
        for record in result.records:
            texts += [
                text for text in (record.system, record.instruction, record.input, render_assistant(record)) if text
            ]
    return texts


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "tiny-phi3", help="folder to build")
    parser.add_argument(
        "--text", type=Path, nargs="+", default=[SAMPLE], metavar="FILE.jsonl", help="records for the tokenizer"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the weights (default: 0)")
    parser.add_argument("--force", action="store_true", help="build again, replacing what was built before")
    options = parser.parse_args(arguments)
    try:
        texts = texts_of(options.text)
        before = None if options.force else describe(options.out)
        build(options.out, texts, seed=options.seed, force=options.force)
    except So8tError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    now = describe(options.out)
    if now is None:
        print(f"Error: {options.out} is not complete; remove it and try again", file=sys.stderr)
        return 1
    print(f"{options.out}: {'already there' if before else 'built'}, {now.parameters:,} parameters, seed {now.seed}")
    if before and (before.seed != options.seed or before.texts_sha256 != sha256_of_texts(texts)):
        print("It was built from another seed or other records; --force builds it again.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
