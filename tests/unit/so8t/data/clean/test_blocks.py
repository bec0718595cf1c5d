import pytest
from hypothesis import given
from hypothesis import strategies as st

from so8t.data.clean.confidential import is_marked
from so8t.data.clean.language import detect
from so8t.data.clean.normalise import normalise
from so8t.data.clean.quality import fault

SHORTEST = {"ja": 50, "en": 200}
ENGLISH = (
    "The museum is open every day from nine to five, and it has a garden that you can visit without a ticket. "
    "There are more than forty paintings in the first room, which was built when the town was still small. "
    "If you have time, take the path along the river."
)


@pytest.mark.parametrize(
    "text",
    [
        "【社外秘】",
        "(極秘)",
        "部 外 秘",
        "取扱注意:関係者外秘",
        "㊙",
        "ＣＯＮＦＩＤＥＮＴＩＡＬ",
        "C O N F I D E N T I A L",
        "本資料は社外秘です",
        "機密\n第一章",
        "*** 極秘 ***\n本文",
        "Strictly Confidential\nPlan",
        "[Confidential] plan",
        "For internal use only.\nPlan",
        "TOP SECRET//SI//NOFORN",
        "Attorney-Client Privileged\n",
        "■取扱注意■\n本文",
    ],
)
def test_a_marking_is_seen_in_any_width_and_spacing(text):
    assert is_marked("前書き\n" + text + "\n続き")


@pytest.mark.parametrize(
    "text",
    [
        "機密性の高い情報を扱う仕事",
        "極秘裏に来日した",
        "秘密の花園という小説",
        "秘書の仕事",
        "confidential computing on GPUs",
        "The letter was confidential and private.",
        "A secret garden",
        "CONFIDENTIAL COMPUTING",
        "秘境の温泉",
        "複製禁止法の改正",
    ],
)
def test_everyday_words_are_no_marking(text):
    assert not is_marked(text)


def test_languages_are_told_apart():
    assert detect("水道管の凍結を防ぐには保温材を巻く。") == "ja"
    assert detect("第三条　著作権の存続期間は、著作物の創作の時に始まる。") == "ja"
    assert detect(ENGLISH) == "en"
    assert detect("水管冻结可以通过包裹保温材料来防止。请在冬天的早晨特别注意。") is None
    assert detect("수도관의 동결을 방지하려면 보온재를 감아 주세요.") is None
    assert detect("Um das Einfrieren der Rohre zu verhindern, wickeln Sie bitte Dämmung um sie.") is None
    assert detect("Pour éviter le gel des tuyaux, il faut les entourer de matériau isolant.") is None
    assert detect("12345 67890") is None


def test_good_prose_passes_the_quality_block():
    assert fault(ENGLISH, "en", SHORTEST, 100_000) is None
    text = "水道管の凍結を防ぐには、露出した配管に保温材を巻いてください。冬の朝は特に注意が必要です。夜も同じです。"
    assert fault(text, "ja", SHORTEST, 100_000) is None


@pytest.mark.parametrize(
    ("text", "language", "reason"),
    [
        ("短い文です。", "ja", "too short"),
        ("長い。" * 40_000, "ja", "too long"),
        (
            "文字化け\ufffd\ufffdした文です。"
            + "これは前置きの文で、それなりの長さがありますので短すぎることはありません。" * 2,
            "ja",
            "garbled",
        ),
        ("1.23 4.56 7.89 → " * 20 + "です。", "ja", "few letters"),
        ("お得な情報が満載です。今すぐ登録しましょう。" * 80, "ja", "repetitive"),
        (
            "Home Products Services Contact Login Register Help Careers Press Investors Partners Blog " * 3
            + " ".join(f"Item{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(200)),
            "en",
            "no sentences",
        ),
    ],
)
def test_what_is_no_prose_is_named(text, language, reason):
    assert fault(text, language, SHORTEST, 100_000) == reason


@given(st.text(max_size=80))
def test_normalising_twice_changes_nothing_more(text):
    once = normalise(text)
    assert normalise(once) == once


@given(st.text(max_size=80))
def test_a_normal_form_holds_no_control_or_invisible_characters_and_no_stray_space(text):
    normal = normalise(text)
    assert normal == normal.strip()
    assert not any(c in normal for c in "\r\x00\u200b\ufeff\u202e\t")
    assert "  " not in normal
    assert "\n\n\n" not in normal
