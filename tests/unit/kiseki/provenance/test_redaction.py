"""What leaves the house holds no secret, no path of a machine and no name of a person or host."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiseki.provenance.redaction import REMOVED, Redactor

REDACTOR = Redactor(home="/srv/people/tanaka", names=("tanaka", "gpu-07.example.net", "gpu-07"), root="/srv/runs/demo")


@pytest.mark.parametrize(
    "secret",
    [
        "hf_AbCdEfGhIjKlMnOpQrStUvWx",
        "sk-proj-abcdefghijklmnop0123",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_11ABCDEFG0abcdefghijkl",
        "glpat-abcdefghij0123456789",
        "AKIAIOSFODNN7EXAMPLE",
        "AIzaSyA0123456789abcdefghijklmnopqrstu",
        "xoxb-123456789012-abcdef",
        "Bearer abcdef0123456789",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefgh",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----",
    ],
)
@pytest.mark.parametrize("around", ["{}", "login with {} now", "x={}", '"{}"'])
def test_a_secret_is_known_by_its_shape_wherever_it_stands(secret: str, around: str) -> None:
    cleaned = REDACTOR.value({"note": [around.format(secret)]})["note"][0]
    assert secret not in cleaned
    assert secret.split()[-1] not in cleaned
    assert REMOVED in cleaned


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "hf_token",
        "HF_TOKEN",
        "hub-token",
        "password",
        "db_password",
        "api_key",
        "apiKey",
        "OPENAI_API_KEY",
        "client_secret",
        "aws_secret_access_key",
        "private_key",
        "credentials",
        "Authorization",
        "cookie",
        "tokens",
    ],
)
def test_a_secret_is_known_by_its_name_however_it_is_given(name: str) -> None:
    secret = "correct horse"
    assert REDACTOR.value({"outer": {name: secret}}) == {"outer": {name: REMOVED}}
    assert REDACTOR.value({name: [secret]}) == {name: REMOVED}
    assert "staple" not in REDACTOR.text(f"train.py --{name} staple --epochs 3")
    assert "staple" not in REDACTOR.text(f"train.py --{name}=staple --epochs 3")
    assert "staple" not in REDACTOR.text(f"{name}: 'staple'")
    assert REDACTOR.value(["train.py", f"--{name}", "staple", "--epochs", "3"])[2:] == [REMOVED, "--epochs", "3"]


@pytest.mark.parametrize(
    "harmless",
    [
        {"max_tokens": 4096, "tokens_seen": 1.5, "token": None, "use_auth_token": True},
        {"pad_token": "<|endoftext|>", "eos_token": "</s>", "additional_special_tokens": ["<think-task>", "<final>"]},
        {"pad_token": "PAD", "bos_token_id": "1", "tokenizer": "Phi-3.5", "token_weighting": "sum"},
        {"author": "研究部", "license": "Apache-2.0", "dataset": "owner/name", "note": "loss/token and a/b"},
        {"url": "https://example.org/a/b?x=1", "key": "value", "monkey": "x", "eps": 1e-8, "layers": [0, 1, None]},
        {"endpoint": "/think", "fraction": "1/2", "time": "2026-11-23T05:00:00Z", "operator": "<", "ratio": "a:b"},
        {"command": "train.py --max-tokens 512 --num_tokens=3 --config configs/demo.yaml"},
        {"eval_tokens": {"min": 5670, "mean": 5.67e3, "first_non_finite_step": None}, "max_new_tokens": 128},
        {"tokens": {"train": {"ja": 12, "en": 3}, "eval": 4}, "suppress_tokens": [1, 2], "loss_per_token": "NaN"},
        {"password": {"count": 3}, "secret_recall": {"run": 0.5, "baseline": 0.25}, "hf_token": None},
        {"said": "eval_tokens: >5000, max_tokens=1e6 (num_tokens=4_096) {tokens: 7}"},
    ],
)
def test_what_is_no_secret_stays(harmless: dict[str, object]) -> None:
    assert REDACTOR.value(harmless) == harmless


@pytest.mark.parametrize(
    "secret",
    [
        {"tokens": ["abc", 1]},
        {"tokens": {"alice": "abc", "count": 1}},
        {"eval_tokens": "abc"},
        {"max_new_tokens": "5f3a"},
        {"private_key": [12, 250, 7]},
        {"password": {"bytes": [12, 250, 7]}},
        {"tokens": {"private_key": [12, 250, 7], "count": 1}},
        {"pin_token": "123456"},
    ],
)
def test_a_table_that_holds_text_or_may_hold_a_key_is_no_table_of_numbers(secret: dict[str, object]) -> None:
    assert REMOVED in json.dumps(REDACTOR.value(secret))


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/data/models/Borea-Phi35", "Borea-Phi35"),
        ("/data/models/Borea Phi35/", "Borea Phi35"),
        (r"D:\webdataset\models\Borea-Phi35", "Borea-Phi35"),
        ("D:/webdataset/models/Borea-Phi35", "Borea-Phi35"),
        (r"\\fileserver\share\models\Borea", "Borea"),
        ("/home/suzuki/models/Borea", "~/models/Borea"),
        ("/Users/suzuki hanako/models/Borea", "~/models/Borea"),
        ("/home/suzuki", "~"),
        (r"C:\Users\suzuki\models\Borea", r"~\models\Borea"),
        (r"C:\Users\suzuki hanako\models\Borea", r"~\models\Borea"),
        (r"c:\users\鈴木\models\Borea", r"~\models\Borea"),
        ("/srv/people/tanaka/models/Borea", "~/models/Borea"),
        ("/srv/runs/demo/checkpoints/checkpoint-10", "checkpoints/checkpoint-10"),
        ("models/tiny-phi3", "models/tiny-phi3"),
        ("../models/tiny-phi3", "../models/tiny-phi3"),
        ("file:///data/models/Borea", "Borea"),
    ],
)
def test_r21_a_path_says_no_more_than_it_must(path: str, shown: str) -> None:
    assert REDACTOR.text(path) == shown


@pytest.mark.parametrize(
    "text",
    [
        "python /home/suzuki/job/train.py --config /home/suzuki/x.yaml",
        "No such file: '/home/suzuki/x'",
        "PATH=/home/suzuki/bin:/usr/local/bin",
        r"cannot open C:\Users\suzuki\x.bin",
        r"cannot open 'C:\\Users\\suzuki\\x.bin'",
        "saved to (/mnt/raid/suzuki/out)",
        "login as tanaka on GPU-07",
        "https://suzuki:hunter2@example.org/repo.git",
    ],
)
def test_r21_no_person_and_no_host_is_named(text: str) -> None:
    cleaned = REDACTOR.text(text).lower()
    assert not any(word in cleaned for word in ("suzuki", "tanaka", "gpu-07", "hunter2")), cleaned


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_any_json_value_stays_json_of_the_same_build(value: object) -> None:
    def build(part: object) -> object:
        if isinstance(part, dict):
            return [build(item) for item in part.values()]
        return [build(item) for item in part] if isinstance(part, list) else isinstance(part, str) or part

    cleaned = REDACTOR.value(value)
    json.dumps(cleaned, allow_nan=False)
    assert build(cleaned) == build(value)


def test_two_paths_with_the_same_last_name_both_stay() -> None:
    assert REDACTOR.value({"/mnt/a/x.bin": 1, "/mnt/b/x.bin": 2}) == {"x.bin": 1, "x.bin (2)": 2}


@given(st.text(alphabet="abc:/\\.~ -'\"=", max_size=40))
def test_no_text_of_path_characters_breaks_it(text: str) -> None:
    assert isinstance(REDACTOR.text(text), str)


@pytest.mark.parametrize(
    "value",
    [["https://=/srv/a/buser:hunter2@"], {"/srv/a/password": "hunter2"}, ["/srv/a/--password", "hunter2"]],
)
def test_what_a_removed_path_leaves_is_looked_at_again(value: object) -> None:
    assert "hunter2" not in json.dumps(REDACTOR.value(value))


def test_long_hostile_text_is_cleaned_in_time() -> None:
    for text in (
        "/a" * 20_000,
        "a " * 20_000,
        "a" * 20_000,
        "C:\\" + "a" * 20_000,
        "-" * 20_000,
        "a=" * 20_000,
        "/Users/" * 5_000,
    ):
        REDACTOR.text(text)
