"""A pack that a stranger sent can do no harm: nothing is written outside, nothing is unpacked that fills a disk."""

import io
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from kiseki.evidence.verify import verify_pack
from kiseki.evidence.zip_layout import CENTRAL, END, LOCAL, Entry, Moment
from kiseki.evidence.zip_reading import NotAPack, ZipReader

Hostile = Callable[[], bytes]
_MOMENT = Moment(0, 33)


def _named(*names: str, content: bytes = b"x", method: int = zipfile.ZIP_STORED, **attributes: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            info.external_attr = attributes.get("external_attr", 0o100644 << 16)
            archive.writestr(info, content)
    return out.getvalue()


def _entry(name: str, packed: bytes, *, size: int | None = None, crc: int | None = None, method: int = 0) -> bytes:
    """A zip file of one entry in exactly the form of a pack, with figures of our choice."""
    entry = Entry(
        name, method, _MOMENT, zlib.crc32(packed) if crc is None else crc, len(packed), size or len(packed), 0
    )
    return _closed(entry.local_header() + packed, entry.central_header(), 1)


def _closed(front: bytes, directory: bytes, count: int, **figures: int) -> bytes:
    end = (0, 0, count, count, figures.get("size", len(directory)), figures.get("begins", len(front)), 0)
    return front + directory + END.pack(b"PK\x05\x06", *end)


def _deflated(raw: bytes) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return squeeze.compress(raw) + squeeze.flush()


def _bomb() -> bytes:
    packed = _deflated(bytes(64 << 20))
    return _entry("statement.json", packed, size=64 << 20, crc=zlib.crc32(bytes(64 << 20)), method=8)


def _bomb_that_lies() -> bytes:
    return _entry("statement.json", _deflated(bytes(64 << 20)), size=100, method=8)


def _many_bombs() -> bytes:
    packed = _deflated(bytes(200 << 10))  # each below the ratio's least size
    front = directory = b""
    for number in range(10_001):
        entry = Entry(f"f{number}", 8, _MOMENT, 0, len(packed), 200 << 10, len(front))
        front += entry.local_header() + packed if number < 3 else b""
        directory += entry.central_header()
    return _closed(front, directory, 10_001)


def _overlapping() -> bytes:
    """Two entries of the directory share one piece of the file."""
    first = Entry("a", 0, _MOMENT, zlib.crc32(b"x"), 1, 1, 0)
    second = first._replace(name="b")
    return _closed(first.local_header() + b"x", first.central_header() + second.central_header(), 2)


def _two_stories() -> bytes:
    """The local header says another name than the directory."""
    entry = Entry("statement.json", 0, _MOMENT, zlib.crc32(b"x"), 1, 1, 0)
    return _closed(entry._replace(name="statement.jsoN").local_header() + b"x", entry.central_header(), 1)


def _hidden(place: str) -> bytes:
    entry = Entry("a", 0, _MOMENT, zlib.crc32(b"x"), 1, 1, 7 if place == "before" else 0)
    front = entry.local_header() + b"x"
    if place == "before":
        return _closed(b"#!/bin/" + front, entry.central_header(), 1)
    if place == "between":
        return _closed(front + b"hidden", entry.central_header(), 1)
    return _closed(front, entry.central_header(), 1) + b"hidden"


def _hidden_between_two() -> bytes:
    first = Entry("a", 0, _MOMENT, zlib.crc32(b"x"), 1, 1, 0)
    second = first._replace(name="b", offset=first.end + 6)
    front = first.local_header() + b"x" + b"hidden" + second.local_header() + b"x"
    return _closed(front, first.central_header() + second.central_header(), 2)


def _zip64(size: int) -> bytes:
    """Sizes in the zip64 extra field, of which the classic fields say 0xffffffff."""
    extra = struct.pack("<2H2Q", 1, 16, size, size)
    figures = (20, 0, 0, 0, 33, zlib.crc32(b"x"), 0xFFFFFFFF, 0xFFFFFFFF, 1, len(extra))
    local = LOCAL.pack(b"PK\x03\x04", *figures) + b"a" + extra
    central = CENTRAL.pack(b"PK\x01\x02", 45, *figures, 0, 0, 0, 0, 0) + b"a" + extra
    return _closed(local + b"x", central, 1)


def _encrypted() -> bytes:
    raw = bytearray(_named("statement.json"))
    raw[6] |= 1
    raw[raw.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


HOSTILE: dict[str, Hostile] = {
    "traversal": lambda: _named("../../evil"),
    "traversal in the middle": lambda: _named("metrics/../../evil"),
    "absolute": lambda: _named("/tmp/kiseki-evil"),
    "drive letter": lambda: _named("C:evil"),
    "drive and path": lambda: _named("C:/evil"),
    "backslash": lambda: _entry("..\\evil", b"x"),
    "UNC": lambda: _named("//server/share/evil"),
    "device": lambda: _named("metrics/nul.txt"),
    "trailing dot": lambda: _named("statement.json."),
    "alternate stream": lambda: _named("statement.json:evil"),
    "NUL": lambda: _named("statement.json").replace(b"statement.json", b"statement\x00json"),
    "huge name": lambda: _named("a" * 60_000),
    "empty name": lambda: _named(""),
    "folder": lambda: _named("metrics/"),
    "symbolic link": lambda: _named("statement.json", content=b"/etc/passwd", external_attr=0o120777 << 16),
    "encrypted": _encrypted,
    "zip64 that claims 2^62 bytes": lambda: _zip64(1 << 62),
    "bomb": _bomb,
    "bomb that lies about its size": _bomb_that_lies,
    "10,001 entries": _many_bombs,
    "overlapping": _overlapping,
    "case-colliding": lambda: _named("Statement.json", "statement.json"),
    "two stories": _two_stories,
    "hidden before": lambda: _hidden("before"),
    "hidden between": lambda: _hidden("between"),
    "hidden behind": lambda: _hidden("behind"),
    "hidden between two files": lambda: _hidden_between_two(),
    "other method": lambda: _named("statement.json", content=b"x" * 100, method=zipfile.ZIP_LZMA),
    "directory longer than the file": lambda: _closed(b"", b"", 1, size=0xFFFFFFF0),
    "directory elsewhere": lambda: _closed(b"x", b"", 0, begins=0x7FFFFFFF),
    "no zip at all": lambda: b"%PDF-1.7 nothing",
    "empty file": lambda: b"",
}


def _duplicate() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return _named("statement.json", "statement.json")


HOSTILE["duplicate"] = _duplicate


@pytest.mark.parametrize("kind", HOSTILE)
def test_i7_it_is_refused_at_once_and_nothing_is_written(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in" / "hostile.zip"
    path.parent.mkdir()
    path.write_bytes(HOSTILE[kind]())
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(scratch)
    answer = verify_pack(path)
    assert (answer.exit_code, [one.check for one in answer.findings]) == (1, ["container"])
    assert list(scratch.iterdir()) == []
    assert list(path.parent.iterdir()) == [path]
    assert not Path("/tmp/kiseki-evil").exists()


def test_there_are_at_least_twenty_five() -> None:
    assert len(HOSTILE) >= 25


def test_a_zip_file_without_anything_in_it_is_no_pack(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(_closed(b"", b"", 0))
    assert verify_pack(tmp_path / "x.zip").exit_code == 1


def test_a_bomb_is_refused_before_a_byte_of_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    path.write_bytes(_bomb())
    with pytest.raises(NotAPack, match="larger than a pack can be"):
        ZipReader(path)


def test_a_file_that_is_longer_than_it_says_is_cut_off_there(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    path.write_bytes(_bomb_that_lies())
    with ZipReader(path) as reader, pytest.raises(NotAPack, match="longer than the zip file says"):
        for block in reader.blocks("statement.json"):
            assert len(block) <= 100
