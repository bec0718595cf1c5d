"""VERIFY.md: how to check a pack with `openssl` and `sha256sum` alone, and what that proves; Japanese, then English.

The texts are written by hand in `texts/`, one file for each language.
"""

from importlib.resources import files

import jinja2

from kiseki.evidence.derived import SUMS
from kiseki.evidence.pack_files import ENVELOPE, PAE, SIGNED, STATEMENT
from kiseki.evidence.statement import Predicate

VERIFY = "VERIFY.md"
_LANGUAGES = ("ja", "en")


def instructions(predicate: Predicate, key_id: str | None) -> bytes:
    """The text for one pack.

    Args:
        predicate: what its statement says.
        key_id: the signer's, None for a pack that nobody signed.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    facts = {
        "predicate": predicate,
        "key_id": key_id,
        "signed_file": PAE if key_id else STATEMENT,
        "stamped_file": ENVELOPE if key_id else STATEMENT,
        "unlisted": "|".join(name.replace(".", "\\.") for name in (SUMS, *(SIGNED if key_id else (STATEMENT,)))),
        "weights": [] if isinstance(predicate.weights, str) else predicate.weights,
    }
    texts = files(__package__) / "texts"
    parts = [
        environment.from_string((texts / f"VERIFY.{language}.md.jinja").read_text(encoding="utf-8")).render(facts)
        for language in _LANGUAGES
    ]
    return ("\n---\n\n".join(f"{part.rstrip()}\n" for part in parts)).encode()
