"""Key files: made once, private, never overwritten, noticed when they are exchanged."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from so8t.serve.audit.errors import AuditKeyError
from so8t.serve.audit.keys import AuditKey, create_key, load_key, load_keys


def test_a_key_is_read_back_and_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "audit.key"
    made = create_key(path)
    assert load_key(path) == made
    assert len(made.secret) == 32
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_keys_are_never_the_same_and_rotation_keeps_both(tmp_path: Path) -> None:
    first, second = create_key(tmp_path / "1.key"), create_key(tmp_path / "2.key")
    assert first.key_id != second.key_id
    assert load_keys([tmp_path / "1.key", tmp_path / "2.key"]) == {first.key_id: first, second.key_id: second}


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    create_key(path)
    before = path.read_bytes()
    with pytest.raises(AuditKeyError, match="never overwritten"):
        create_key(path)
    assert path.read_bytes() == before


def test_the_key_id_is_derived_from_the_key_as_documented() -> None:
    secret = bytes(range(32))
    assert AuditKey.of(secret).key_id == hashlib.sha256(b"so8t audit key" + secret).hexdigest()[:16]


def test_a_key_does_not_show_its_secret() -> None:
    key = AuditKey.of(b"k" * 32)
    assert "kkkk" not in repr(key)
    assert key.secret.hex() not in repr(key)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "audit.key"
    create_key(path)
    path.chmod(mode)
    with pytest.raises(AuditKeyError, match="chmod 600"):
        load_key(path)


def test_a_secret_under_another_keys_id_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    key = create_key(path)
    path.write_text(path.read_text("utf-8").replace(key.secret.hex(), "ab" * 32), encoding="utf-8")
    with pytest.raises(AuditKeyError, match="does not hold the key") as caught:
        load_key(path)
    assert "abab" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff\xfe", b'{"format":"so8t-audit-key-1","key_id":"x","secret":"5ec"}']
)
def test_a_damaged_key_file_is_refused_without_quoting_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "audit.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(AuditKeyError, match="damaged") as caught:
        load_key(path)
    assert "5ec" not in str(caught.value)


def test_a_missing_key_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(AuditKeyError, match="so8t audit keygen"):
        load_key(tmp_path / "none.key")
