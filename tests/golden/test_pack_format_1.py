"""The signed pack of format 1 verifies for ever, whatever a later kiseki writes."""

import hashlib
import json
from pathlib import Path

from kiseki.evidence.checkpoint import parse_checkpoint
from kiseki.evidence.keys import load_public
from kiseki.evidence.verify import verify_pack
from kiseki.evidence.zip_reading import ZipReader

HERE = Path(__file__).parent / "pack-format-1"
SAMPLE = HERE / "sample.zip"


def test_it_is_the_file_that_was_made() -> None:
    assert hashlib.sha256(SAMPLE.read_bytes()).hexdigest() == (HERE / "sample.sha256").read_text("ascii").split()[0]


def test_it_is_intact_and_signed_by_its_key_and_agrees_with_the_line_that_left_earlier() -> None:
    answer = verify_pack(
        SAMPLE,
        named_key=load_public(HERE / "sample.pub"),
        since=[parse_checkpoint((HERE / "checkpoint.txt").read_text("utf-8"))],
    )
    assert [one for one in answer.findings if one.state == "failed"] == []
    assert answer.exit_code == 0
    assert {one.check for one in answer.findings if one.state == "ok"} >= {
        "signature",
        "statement",
        "file set",
        "hashes",
        "lines",
        "sequence",
        "seals",
        "clocks",
        "rebuild",
        "reports",
        "weights",
        "since",
    }


def test_what_was_taken_out_can_still_be_shown() -> None:
    openings = json.loads((HERE / "salts.json").read_bytes())["openings"]["metrics/config.2.redacted.json"]
    with ZipReader(SAMPLE) as reader:
        redacted = json.loads(reader.read("metrics/config.2.redacted.json", 1 << 20))
    assert redacted["removed"] == {at: hashlib.sha256(line.encode()).hexdigest() for at, line in openings.items()}
    assert json.loads(openings["/hub_token"])["value"] == "hf_" + "a" * 20
