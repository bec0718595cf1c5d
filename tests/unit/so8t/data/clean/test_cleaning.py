"""Whole cleanings: counts at both ends, restarts, bad input, and G3: what was removed is nowhere."""

import hashlib
import json
import logging
import unicodedata
from pathlib import Path

import pytest

from so8t.data.clean.executors import LocalRunner
from so8t.data.clean.pipeline import run_cleaning
from so8t.data.clean.settings import Settings
from so8t.data.privacy import Action, Kind
from so8t.errors import DataError, JobFailed

GOLDEN = Path(__file__).parents[4] / "golden" / "privacy" / "positives.jsonl"


def test_every_record_is_counted_at_both_ends_of_every_block(tmp_path, jsonl, clean, prose, read_records, dropped):
    source = jsonl(
        [
            *({"text": prose(n)} for n in range(6)),
            {"text": prose(0)},
            {"text": prose(1)[:-6] + "といえる。"},
            {"text": "【社外秘】" + prose(10)},
            {"text": prose(11) + "マイナンバーは1234-5678-9018です。"},
            {"text": prose(12) + "電話は090-1234-5678、メールはtaro@example.jpです。"},
            {"text": prose(13) + "不適切"},
            {"text": prose(14) + "要確認"},
            {"text": "Ceci n'est pas une pipe."},
            {"text": "短い文です。"},
            {"text": ""},
            {"html": "<p></p>"},
        ]
    )
    with source.open("ab") as out:
        out.write(b"{broken\n[1,2]\n\n")
    statement = clean(source)
    blocks = statement["cleaning"]["blocks"]
    assert [block["name"] for block in blocks] == [
        "read",
        "extract",
        "confidential",
        "normalise",
        "language",
        "quality",
        "privacy",
        "safety",
        "duplicates",
        "schema",
    ]
    assert blocks[0]["in"] == 19
    assert blocks[-1]["out"] == len(read_records(tmp_path / "out")) == 7
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        assert block["in"] == block["out"] + sum(block["dropped"].values())
        assert after is None or after["in"] == block["out"]
    assert dropped(statement, "read") == {"empty": 1, "unreadable": 2}
    assert dropped(statement, "extract") == {"no text": 1}
    assert dropped(statement, "confidential") == {"marked": 1}
    assert dropped(statement, "language") == {"other language": 1}
    assert dropped(statement, "quality") == {"too short": 1}
    assert dropped(statement, "privacy") == {"my_number": 1}
    assert dropped(statement, "safety") == {"block nsfw_block": 1, "review self_harm": 1}
    assert dropped(statement, "duplicates") == {"equal text": 1, "similar text": 1}
    assert statement["cleaning"]["redactions"] == {"email": 1, "my_number": 1, "phone": 1}
    assert statement["nsfw"]["labels"] == {"nsfw_block": 1, "self_harm": 1}


def test_a_record_says_where_it_comes_from_and_is_named_by_its_text(tmp_path, jsonl, clean, prose, read_records):
    row = {
        "text": prose(1) + "電話 03-3234-5678",
        "title": "題　名",
        "url": "https://example.jp/a",
        "source_id": "own",
        "tier": 2,
        "license": "CC-BY-4.0",
        "retrieved_at": "2025-11-03T00:00:00Z",
        "sha256": "0" * 64,
        "unknown": 1,
    }
    clean(jsonl([row]))
    (record,) = read_records(tmp_path / "out")
    assert record["source"] == {
        "tier": "2",
        "license": "CC-BY-4.0",
        "id": "own",
        "url": "https://example.jp/a",
        "retrieved_at": row["retrieved_at"],
        "sha256": "0" * 64,
    }
    assert record["text"].endswith("電話 [phone]")
    assert record["title"] == "題 名"
    assert record["id"] == hashlib.sha256(record["text"].encode()).hexdigest()[:16]
    assert record["language"] == "ja"


def test_the_statement_gives_size_digest_and_number_of_records_of_every_file(tmp_path, jsonl, clean, prose):
    statement = clean(jsonl({"text": prose(n)} for n in range(5)))
    (file,) = statement["dataset"]["files"]
    content = (tmp_path / "out" / file["path"]).read_bytes()
    assert (file["bytes"], file["records"]) == (len(content), 5)
    assert file["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_collection_is_cleaned_with_its_files_and_its_sources_are_taken_along(
    tmp_path, clean, prose, read_records, dropped
):
    collected = tmp_path / "collected"
    pages = {
        "pages/a.html": f"<title>題</title><nav>メニュー</nav><p>{prose(1)}</p>".encode("cp932", "ignore"),
        "pages/b.txt": prose(2).encode("euc_jp", "ignore"),
        "pages/c.html": b"",
    }
    (collected / "pages").mkdir(parents=True)
    for name, content in pages.items():
        (collected / name).write_bytes(content)
    (tmp_path / "outside.txt").write_text(prose(3), encoding="utf-8")
    common = {"source_id": "s", "tier": 1, "licence": "CC-BY-4.0", "retrieved_at": "2025-11-03T00:00:00Z"}
    listed = [*pages, "pages/missing.html", "../outside.txt"]
    rows = [{"file": name, "url": f"https://example.jp/{n}", **common} for n, name in enumerate(listed)]
    (collected / "pages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    sources = {"sources": [{"id": "s", "licence": "CC-BY-4.0"}], "ledger": {"lines": 9}}
    (collected / "data_statement.json").write_text(json.dumps(sources), encoding="utf-8")

    statement = clean(collected, licence=None, tier=None)
    assert [record["source"]["url"] for record in read_records(tmp_path / "out")] == [
        "https://example.jp/0",
        "https://example.jp/1",
    ]
    assert dropped(statement, "read") == {"empty": 1, "unreadable": 1, "outside the input": 1}
    assert {key: statement[key] for key in sources} == sources
    assert "メニュー" not in (tmp_path / "out" / "data" / "part-00000.jsonl").read_text(encoding="utf-8")


def test_a_record_without_a_licence_is_left_out(tmp_path, jsonl, clean, prose, dropped):
    statement = clean(jsonl([{"text": prose(1)}, {"text": prose(2), "licence": "MIT"}]), licence=None, tier=None)
    assert dropped(statement, "schema") == {"without licence": 1, "without tier": 1}
    assert statement["dataset"]["files"] == []


def test_a_field_that_is_not_what_it_must_be_leaves_the_record_out(jsonl, clean, prose, dropped):
    statement = clean(jsonl([{"text": prose(1), "sha256": "no digest"}, {"text": prose(2), "tier": [1]}]))
    assert dropped(statement, "schema") == {"invalid": 1}
    assert dropped(statement, "read") == {"unreadable": 1}


def test_personal_data_in_titles_and_addresses_is_removed_too(tmp_path, jsonl, clean, prose, read_records):
    rows = [
        {"text": prose(1), "title": "山田太郎様のページ", "url": "https://example.jp/?mail=taro@example.jp"},
        {"text": prose(2), "url": "https://taro@example.jp:x/"},
    ]
    clean(jsonl(rows))
    first, second = read_records(tmp_path / "out")
    assert (first["title"], first["source"]["url"]) == ("[name]様のページ", "https://example.jp/")
    assert "taro" not in json.dumps(second)


@pytest.mark.parametrize(
    "query",
    [
        "mail=taro%40example.jp",
        "mail=taro%2540example.jp",
        "tel=%2B81-90-1234-5678",
        "tel=090%2D1234%2D5678",
        "u=%E7%94%B0%E4%B8%AD%E5%A4%AA%E9%83%8E%E6%A7%98",
        "u=%C5%C4%C3%E6%C2%C0%CF%BA%CD%CD",
        "address=%E6%9D%B1%E4%BA%AC%E9%83%BD%E6%B8%AF%E5%8C%BA%E8%8A%9D1-1-1",
        "mynumber=%E3%83%9E%E3%82%A4%E3%83%8A%E3%83%B3%E3%83%90%E3%83%BC%3A1234-5678-9018",
    ],
)
def test_an_address_that_hides_personal_data_behind_percent_signs_is_shortened_to_its_host(
    tmp_path, jsonl, clean, prose, read_records, query
):
    harmless = "https://example.jp/?q=%E5%9B%B3%E6%9B%B8%E9%A4%A8&rate=50%25"
    clean(jsonl([{"text": prose(1), "url": f"https://example.jp/?{query}"}, {"text": prose(2), "url": harmless}]))
    assert [record["source"]["url"] for record in read_records(tmp_path / "out")] == ["https://example.jp/", harmless]


def test_what_must_be_discarded_is_known_by_its_digest_alone(tmp_path, jsonl, clean, prose):
    text = prose(1) + "破棄対象"
    clean(jsonl([{"text": text}, {"text": prose(2)}]))
    out = tmp_path / "out"
    assert (out / "discarded_sha256.txt").read_text() == hashlib.sha256(
        unicodedata.normalize("NFKC", text).encode()
    ).hexdigest() + "\n"
    assert not [path for path in out.rglob("*") if path.is_file() and "破棄対象".encode() in path.read_bytes()]


def forms(value: str) -> set[bytes]:
    """The value as it could stand in a file: in any width, without its gaps, in the usual encodings and escapes."""
    spelled = {value, unicodedata.normalize("NFKC", value)}
    spelled |= {"".join(c for c in each if c.isalnum()) for each in spelled if any(map(str.isdigit, each))}
    spelled |= {json.dumps(each)[1:-1] for each in spelled} | {each.replace("\n", "\\n") for each in spelled}
    encodings = ("utf-8", "utf-16-le", "cp932", "euc_jp")
    return {each.encode(encoding, "ignore") for each in spelled if len(each) > 3 for encoding in encodings}


@pytest.mark.parametrize("workers", [1, 2])
def test_g3_removed_text_is_in_no_output_log_cache_or_error(tmp_path, jsonl, clean, prose, capfd, caplog, workers):
    caplog.set_level(logging.DEBUG)
    with GOLDEN.open(encoding="utf-8") as golden:
        labelled = [json.loads(line) for line in golden][::17]
    rows = [{"text": prose(n) + "\n" + row["text"], "title": row["text"][:80]} for n, row in enumerate(labelled)]
    actions = {kind: Action.REDACT if number % 2 else Action.DROP for number, kind in enumerate(Kind)}
    statement = clean(jsonl(rows), actions=actions, workers=workers)
    assert sum(statement["cleaning"]["redactions"].values()) >= len(labelled) * 0.95

    places = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    places |= {Path(str(n)): text.encode() for n, text in enumerate((*capfd.readouterr(), caplog.text))}
    for row in labelled:
        for form in forms(row["text"][row["start"] : row["end"]]):
            if len(form) > 3:
                assert [path for path, content in places.items() if form in content] == [], (row["kind"], row["form"])


class Breaks:
    """A classifier with a defect."""

    def classify(self, text):
        raise RuntimeError("no such word")


def test_g3_an_error_in_a_block_shows_none_of_the_text(tmp_path, jsonl, prose, capfd):
    source = jsonl([{"text": prose(1) + "架空の秘匿文字列"}])
    with pytest.raises(RuntimeError) as raised:
        run_cleaning(source, tmp_path / "out", Settings(licence="MIT", tier="1"), LocalRunner(1), Breaks)
    shown = "".join(capfd.readouterr()) + str(raised.value)
    shown += "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert "架空の秘匿文字列" not in shown


def test_a_cleaning_that_was_cut_off_goes_on_and_gives_the_same_bytes(tmp_path, jsonl, clean, prose, monkeypatch):
    monkeypatch.setattr("so8t.data.clean.plan._RANGE_BYTES", 2_000)
    source = jsonl({"text": prose(n) + "電話 03-3234-5678"} for n in range(40))
    whole = clean(source, out=tmp_path / "whole")

    class BreaksLater:
        def classify(self, text):
            seen.append(text)
            if len(seen) == 20:
                raise RuntimeError("cut off")
            return type("Verdict", (), {"label": "safe", "action": "pass"})

    seen = []
    out = tmp_path / "out"
    with pytest.raises(RuntimeError, match="cut off"):
        run_cleaning(source, out, Settings(licence="CC0-1.0", tier="1"), LocalRunner(1), BreaksLater)
    done = len(list((out / "work" / "clean" / "completions").iterdir()))
    assert 0 < done < len(list((tmp_path / "whole" / "work" / "clean" / "completions").iterdir()))
    assert not list(out.rglob("*.tmp"))

    again = clean(source, out=out)
    assert again["dataset"]["files"] == whole["dataset"]["files"]
    assert again["cleaning"] == whole["cleaning"]


def test_a_finished_cleaning_is_told_again_and_not_done_again(tmp_path, jsonl, clean, prose):
    source = jsonl([{"text": prose(1)}])
    first = clean(source)
    file = tmp_path / "out" / "data" / "part-00000.jsonl"
    before = file.stat().st_mtime_ns
    assert clean(source) == first
    assert file.stat().st_mtime_ns == before


def test_a_disk_that_refuses_is_one_line_and_the_same_command_goes_on(tmp_path, jsonl, clean, prose):
    source = jsonl([{"text": prose(1)}])
    out = tmp_path / "out"
    out.mkdir()
    (out / "data").write_text("in the way")
    with pytest.raises(JobFailed, match=r"data.*: .*run the same command again"):
        clean(source)
    (out / "data").unlink()
    assert clean(source)["dataset"]["files"][0]["records"] == 1


def test_a_page_of_ten_gigabytes_and_a_line_without_end_are_passed_over(
    tmp_path, jsonl, clean, prose, dropped, monkeypatch
):
    monkeypatch.setattr("so8t.data.clean.read.LARGEST_BYTES", 4_000)
    source = jsonl([{"text": prose(1)}, {"text": "長" * 5_000}, {"file": "huge.html"}, {"text": prose(2)}])
    with (tmp_path / "huge.html").open("wb") as huge:
        huge.truncate(10 << 30)  # a sparse file: it takes no room
    statement = clean(source)
    assert dropped(statement, "read") == {"too large": 2}
    assert statement["dataset"]["files"][0]["records"] == 2


def test_lines_in_another_encoding_are_read(tmp_path, clean, prose, read_records):
    source = tmp_path / "sjis.jsonl"
    text = "水道管の凍結を防ぐには、露出した配管に保温材を巻いてください。冬の朝は特に注意が必要です。夜も同じです。"
    source.write_bytes(json.dumps({"text": text}, ensure_ascii=False).encode("cp932") + b"\n")
    clean(source)
    assert read_records(tmp_path / "out")[0]["text"] == text


def test_the_folder_of_the_input_is_not_written_to(tmp_path, jsonl, clean, prose):
    source = jsonl([{"text": prose(1)}])
    with pytest.raises(DataError, match="holds the input"):
        clean(source, out=tmp_path)


def test_nothing_is_left_of_what_only_the_passes_needed(tmp_path, jsonl, clean, prose):
    clean(jsonl([{"text": prose(1)}]))
    assert not list((tmp_path / "out" / "work").rglob("*.npy"))
    assert not (tmp_path / "out" / "work" / "kept").exists()
