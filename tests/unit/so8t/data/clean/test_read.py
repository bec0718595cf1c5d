"""Reading a collection: a page goes on only as it was when it was collected."""

import hashlib
import json


def test_a_page_that_was_changed_after_it_was_collected_is_left_out_and_counted(
    tmp_path, clean, prose, read_records, dropped
):
    collected = tmp_path / "collected"
    (collected / "pages").mkdir(parents=True)
    contents = [f"<p>{prose(n)}</p>".encode() for n in range(3)]
    rows = []
    for number, content in enumerate(contents):
        (collected / "pages" / f"{number}.html").write_bytes(content)
        rows.append({"file": f"pages/{number}.html", "sha256": hashlib.sha256(content).hexdigest()})
    (collected / "pages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (collected / "pages" / "1.html").write_bytes(contents[1].replace("。".encode(), "、改竄された。".encode(), 1))

    statement = clean(collected)
    assert dropped(statement, "read") == {"changed since it was collected": 1}
    assert len(read_records(tmp_path / "out")) == 2
    assert "改竄" not in "".join(record["text"] for record in read_records(tmp_path / "out"))
