"""What the safety classifier catches and what it stops by mistake, on sentence patterns it was not trained on.

    python benchmarks/safety.py

Tables by label, language and threshold, the safe texts by topic, calibration, and the time for a text. The texts name
what they are about without being explicit; docs/model-design.md says what the figures cannot tell.
"""

import argparse
import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from so8t.data.safety.classifier import SHIPPED, SafetyClassifier
from so8t.data.safety.evaluate import evaluate, tables
from so8t.data.safety.texts import LabelledText, read_texts

RESULTS = Path(__file__).parent / "results"
HELD_OUT = Path(__file__).parent.parent / "examples" / "data" / "safety_heldout.jsonl"


def milliseconds(classifier: SafetyClassifier, texts: list[str]) -> tuple[float, float]:
    """Median and 99th percentile of the time for one text."""
    taken = []
    for text in texts:
        began = time.perf_counter()
        classifier.classify(text)
        taken.append((time.perf_counter() - began) * 1e3)
    return float(np.median(taken)), float(np.quantile(taken, 0.99))


def page(classifier: SafetyClassifier, texts: list[LabelledText]) -> str:
    """The figures as Markdown."""
    median, slow = milliseconds(classifier, [text.text for text in texts])
    joined = "".join(text.text for text in texts)
    longer = ((size, milliseconds(classifier, [joined[:size]] * 20)[0]) for size in (1_400, 10_000))
    of_longer = ", ".join(f"{size:,} characters {taken:.1f} ms" for size, taken in longer)
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else "unknown"
    patterns = len({text.pattern for text in texts})
    return (
        f"# Safety classifier, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n\n"
        f"Model {classifier.digest[:16]}; {len(texts)} held-out texts of {patterns} patterns; Python "
        f"{platform.python_version()}, numpy {np.__version__}, {platform.system()}, load {load}.\n"
        f"One text: median {median:.2f} ms, 99 % within {slow:.2f} ms; {of_longer}.\n\n"
        f"{tables(evaluate(classifier, texts))}"
    )


def main() -> None:
    """Measure, print, keep."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", type=Path, default=SHIPPED, help="the classifier's folder (default: so8t's)")
    options.add_argument("--texts", type=Path, default=HELD_OUT, help="labelled texts it was not trained on")
    options.add_argument("--results", type=Path, default=RESULTS, help="folder of the page (default: results/)")
    settings = options.parse_args()
    text = page(SafetyClassifier.load(settings.model), list(read_texts(settings.texts).texts))
    print(text)
    settings.results.mkdir(parents=True, exist_ok=True)
    file = settings.results / f"{datetime.now(UTC):%Y-%m-%d}-safety.md"
    file.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
