"""What the zip writer writes, the reader and everybody else's zip programs read back."""

import io
import shutil
import subprocess
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiseki.errors import RunFolderError
from kiseki.evidence.zip_layout import SMALL, moment_of
from kiseki.evidence.zip_reading import NotAPack, ZipReader
from kiseki.evidence.zip_writing import ZipWriter

names = st.from_regex(r"[a-z0-9_][a-z0-9._-]{0,8}[a-z0-9_](/[a-z0-9_]{4,8})?", fullmatch=True)
MOMENT = moment_of("2026-11-23T05:00:31Z")


def _written(files: dict[str, list[bytes]]) -> bytes:
    out = io.BytesIO()
    writer = ZipWriter(out, MOMENT)
    for name, blocks in files.items():
        writer.add(name, blocks)
    writer.finish()
    return out.getvalue()


@given(
    st.dictionaries(
        names.filter(lambda name: name.split("/")[0].split(".")[0] not in ("con", "prn", "aux", "nul")),
        st.lists(st.binary(max_size=300) | st.just(b"\0" * 5000), max_size=4),
        max_size=5,
    )
)
def test_every_file_reads_back(tmp_path_factory: pytest.TempPathFactory, files: dict[str, list[bytes]]) -> None:
    raw = _written(files)
    assert raw == _written(files)
    path = tmp_path_factory.mktemp("zip") / "x.zip"
    path.write_bytes(raw)
    with ZipReader(path) as reader:
        assert {name: b"".join(reader.blocks(name)) for name in reader.entries} == {
            name: b"".join(blocks) for name, blocks in files.items()
        }
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == list(files)


def test_a_file_larger_than_a_block_reads_back_and_unzip_agrees(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    text = b"".join(b'{"row":%d,"crc":"%08x"}\n' % (number, zlib.crc32(b"%d" % number)) for number in range(150_000))
    path.write_bytes(_written({"a/text.jsonl": [text], "zeros": [bytes(SMALL)] * 3}))
    with ZipReader(path) as reader:
        assert b"".join(reader.blocks("a/text.jsonl")) == text
        assert sum(map(len, reader.blocks("zeros"))) == 3 * SMALL
    if shutil.which("unzip"):
        assert subprocess.run(["unzip", "-tq", str(path)], check=True, capture_output=True).stderr == b""


@given(st.data())
def test_a_change_of_any_byte_is_refused_or_changes_no_content(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Deflate leaves a few bits unused at the end of a file; nothing else may be free."""
    files = {"a.txt": [b"hello hello hello"], "b/c.bin": [bytes(range(50))], "empty": []}
    raw = bytearray(_written(files))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("zip") / "x.zip"
    path.write_bytes(raw)
    try:
        with ZipReader(path) as reader:
            read = {name: b"".join(reader.blocks(name)) for name in reader.entries}
            moment = reader.moment
    except NotAPack:
        return
    assert read == {name: b"".join(blocks) for name, blocks in files.items()}
    assert moment == MOMENT


@given(st.binary(max_size=400), st.integers(0, 400))
def test_any_bytes_at_all_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, noise: bytes, cut: int) -> None:
    whole = _written({"a.txt": [b"hello"], "b.txt": [b"world"]})
    path = tmp_path_factory.mktemp("zip") / "x.zip"
    path.write_bytes(whole[:cut] + noise + whole[cut:])
    try:
        with ZipReader(path) as reader:
            assert [b"".join(reader.blocks(name)) for name in reader.entries] == [b"hello", b"world"]
    except NotAPack:
        pass


@pytest.mark.parametrize("name", ["../x", "x/../y", "nul", "a" * 200, "漢字.txt", "A.txt"])
def test_no_file_gets_in_under_a_name_that_a_reader_would_refuse(name: str) -> None:
    writer = ZipWriter(io.BytesIO(), MOMENT)
    writer.add("a.txt", [b"x"])
    with pytest.raises(RunFolderError, match="no pack holds a file of this name"):
        writer.add(name, [b"x"])
