"""Collects a small site by rule, cleans it, validates the training rows made of it, and states where they come from.

    python examples/data_demo.py [FOLDER]        default: runs/data_demo, made anew each time

The site stands in examples/data_site and is served on this machine only, to the demo only; the internet is not asked.
Otherwise everything is what `so8t collect`, `so8t clean`, `so8t data validate` and `so8t data statement` do.
"""

import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec

from so8t.cli import run
from so8t.cli.collect import collect_and_tell
from so8t.data.collect.limits import Limits
from so8t.data.thinking_record import content_sha256

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "examples" / "data_site"
SAMPLE = ROOT / "examples" / "data" / "quadruple_thinking_train.jsonl"
"""Rows of which some speak of NSFW requests, each with an answer that declines."""
OUT = ROOT / "runs" / "data_demo"

_KINDS = {".html": "text/html; charset=utf-8", ".txt": "text/plain; charset=utf-8"}
_WORDS = {
    "ja": ("次の文章の最初の一文を、そのまま答えてください。", r"[^。]*。"),
    "en": ("Answer with the first sentence of this text, word for word.", r"[^.]*\."),
}


def main(arguments: list[str]) -> int:
    """Run the four commands, one after the other; the last shows the counts that end up in the report."""
    out = Path(arguments[0]) if arguments else OUT
    if not arguments:
        shutil.rmtree(out, ignore_errors=True)
    if out.exists():
        print(f"{out} exists: name a new folder", file=sys.stderr)
        return 2
    out.mkdir(parents=True)
    began = time.monotonic()
    collected, cleaned, statement = out / "collected", out / "cleaned", out / "data_statement.json"
    with served(SITE) as port:
        code = collect(port, out / "sources.yaml", collected)
    code = code or told("clean", collected, "--out", cleaned)
    rows = out / "pages.jsonl"
    if code == 0:
        rows.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows_of(cleaned)))
    code = code or told("data", "validate", rows, SAMPLE)
    described = ("--croissant", out / "croissant.json", "--url", "https://example.org/demo", "--creator", "the demo")
    parts = ("--collected", collected, "--cleaned", cleaned, "--dataset", rows, "--dataset", SAMPLE)
    code = code or told("data", "statement", *parts, "-o", statement, *described)
    if code == 0:
        print(f"\n{time.monotonic() - began:.0f} s")
        print(f"報告書へ / into a report: kiseki report runs/demo --data-statement {statement}")
    return code


def collect(port: int, sources: Path, collected: Path) -> int:
    """What `so8t collect` does, with this machine's own address permitted, to which every name of the site leads."""
    registry = (SITE / "sources.yaml").read_text(encoding="utf-8").replace("PORT", str(port))
    sources.write_text(registry, encoding="utf-8", newline="\n")
    print(f"$ so8t collect --sources {sources} --out {collected}", flush=True)
    return collect_and_tell(
        sources,
        collected,
        allowed_networks=[ip_network("127.0.0.1/32")],
        lookup=lambda host: ["127.0.0.1"],
        limits=Limits(least_seconds_between_requests=0.0),
    )


def told(*words: object) -> int:
    """Run a command of so8t, as it would be typed."""
    print(f"\n$ so8t {' '.join(map(str, words))}", flush=True)
    return run([str(word) for word in words])


def rows_of(cleaned: Path) -> Iterator[dict[str, Any]]:
    """Make a training row of every cleaned text: quote its first sentence. Origin and licence are the text's."""
    for file in sorted((cleaned / "data").glob("*.jsonl")):
        for record in map(msgspec.json.decode, file.read_bytes().splitlines()):
            instruction, sentence = _WORDS[record["language"]]
            found = re.search(sentence, record["text"].partition("\n")[2])
            row = {
                "schema_version": "1",
                "language": record["language"],
                "instruction": instruction,
                "input": record["text"],
                "thinking": {
                    "task": "Quote the first sentence.",
                    "safety": "A public page, cleaned of personal data.",
                    "policy": "general: public knowledge.",
                },
                "final": found[0].strip() if found else record["text"],
                "safety_label": "ALLOW",
                "policy_domain": "general",
                "domain_label": "general",
            }
            digest = content_sha256(row)
            source = {key: record["source"][key] for key in ("tier", "license", "retrieved_at", "url")}
            yield {**row, "id": digest[:16], "source": {**source, "sha256": digest}}


@contextmanager
def served(site: Path) -> Iterator[int]:
    """Serve the pages of a folder for each host, to this machine only.

    Yields:
        The port.
    """
    pages = {
        (host.name, f"/{path.relative_to(host).as_posix()}".removesuffix("index.html")): path
        for host in site.iterdir()
        for path in host.rglob("*.*")
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = pages.get(((self.headers["Host"] or "").partition(":")[0], self.path))
            body = path.read_bytes() if path else b"not found"
            self.send_response(200 if path else 404)
            self.send_header("Content-Type", _KINDS.get(path.suffix if path else ".txt", "application/octet-stream"))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
