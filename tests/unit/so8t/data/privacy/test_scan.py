import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so8t.data.privacy import Kind, scan

PIECES = [
    "〒",
    "1234567",
    "03-1234-5678",
    "090",
    "-",
    " ",
    "\n",
    "　",
    "@",
    "example.jp",
    "taro",
    "氏名:",
    "山田",
    "太郎",
    "様",
    "東京都",
    "港区",
    "1-2-3",
    "丁目",
    "カード",
    "4012888888881881",
    "123456789018",
    "マイナンバー",
    "password=",
    "Abc12345",
    "://",
    "銀行",
    "普通",
    "記号",
    "12340",
    "番号",
    "生年月日",
    "1980年1月2日",
    "192.168.1.1",
    "::",
    ",",
    "|",
    "\t",
    "(",
    ")",
    "[name]",
    "[phone]",
    "Name:",
    "John Smith",
    "TEL",
    "+81",
    "０",
    "ー",
    "AB",
    "%40",
    "%E6%A7%98",
    "髙橋",
    "で5-6人",
    "・",
    "旅券",
    "在留",
]
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=24).map("".join)


def found(text):
    return [(finding.kind.value, text[finding.start : finding.end]) for finding in scan(text)]


@given(TEXTS)
@settings(max_examples=400)
def test_findings_stand_in_order_inside_the_text_and_do_not_overlap(text):
    findings = scan(text)
    edges = [edge for finding in findings for edge in (finding.start, finding.end)]
    assert edges == sorted(edges)
    assert all(0 <= finding.start < finding.end <= len(text) for finding in findings)


def test_a_finding_does_not_hold_the_value():
    assert "4567" not in repr(scan("電話 03-3234-4567"))


@pytest.mark.parametrize("kind", list(Kind))
def test_what_stands_for_a_redacted_value_is_not_found(kind):
    assert scan(f"氏名:[{kind}] 電話 [{kind}] 住所:[{kind}] password=[{kind}]") == []


def test_a_signature_block_is_taken_apart():
    text = (
        "--\n高橋 健一 (Takahashi Kenichi)\n株式会社サンプル 営業部\n"
        "〒150-0002 東京都渋谷区渋谷2-21-1 渋谷タワー 25階\n"
        "TEL:03-4567-8901 / FAX:03-4567-8902\n携帯：080-1234-5678\nk.takahashi@sample-corp.example"
    )
    assert found(text) == [
        ("name", "高橋 健一"),
        ("postal_code", "150-0002"),
        ("address", "東京都渋谷区渋谷2-21-1 渋谷タワー 25階"),
        ("phone", "03-4567-8901"),
        ("phone", "03-4567-8902"),
        ("phone", "080-1234-5678"),
        ("email", "k.takahashi@sample-corp.example"),
    ]


def test_a_contract_is_taken_apart_where_no_prefecture_is_named():
    text = "甲(東京都港区芝公園四丁目2番8号)と乙(大阪市中央区城見1-3-7)、丙(札幌市北区北12条西4丁目)"
    assert [value for _, value in found(text)] == [
        "東京都港区芝公園四丁目2番8号",
        "大阪市中央区城見1-3-7",
        "札幌市北区北12条西4丁目",
    ]


def test_an_english_letter_is_taken_apart():
    text = (
        "Dear Sarah,\nplease wire to account 12345678, sort code 20-00-00. My cell is (415) 555-2671, "
        "SSN 078-05-1120.\n"
        "742 Evergreen Terrace, Springfield, OR 97403"
    )
    assert [kind for kind, _ in found(text)] == ["name", "account", "phone", "social_security", "address"]


def test_numbers_touching_japanese_text_and_latin_labels_are_found():
    assert found("TEL03-3234-5678まで。電話は011の711-2222です。") == [
        ("phone", "03-3234-5678"),
        ("phone", "011の711-2222"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "法人番号 7000012050002",
        "1763874000000 1763874000000000 0.123456789018",
        "550e8400-e29b-41d4-a716-446655440000",
        "電話 0120-123-456 0800-123-4567 0570-012-345",
        "2024年問題とは、2024年4月1日から年間時間外労働時間の上限が960時間に制限される問題です。",
        "患者さんは72歳男性。血圧 142/88、入院日2023年4月1日。",
        "VISA ****-****-****-1234 合計 12,800円 注文番号 250-1234567-7654321",
        "| 項目 | 規則 |\n| 電話 | 長さと市外局番 |\n| 住所 | 都道府県から |",
        "| name | type | default |\n| lr | float | 0.1 |",
    ],
)
def test_hard_cases_without_personal_data_stay_untouched(text):
    assert found(text) == []


def test_a_bare_number_of_twelve_digits_is_only_a_my_number_where_the_text_speaks_of_them():
    assert found("受付 123456789018") == []
    assert found("個人番号について\n\n受付 123456789018") == [("my_number", "123456789018")]


def test_thirteen_digits_with_a_luhn_digit_are_no_card_without_the_word():
    assert found("JAN 4222222222222") == []
    assert found("カード 4222222222222") == [("card", "4222222222222")]


def test_a_telephone_number_beside_the_word_pension_stays_a_telephone_number():
    assert found("年金手帳についてのお問い合わせ 03-3234-5678") == [("phone", "03-3234-5678")]
    assert found("基礎年金番号 1234-567890") == [("pension_number", "1234-567890")]


def test_a_date_beside_the_word_passport_is_no_passport_number():
    assert found("Passport to adventure 20231231") == []
    assert found("passport no. 533401234") == [("passport", "533401234")]


@pytest.mark.parametrize(
    "hostile",
    [
        "1 " * 50_000,
        "1-" * 50_000,
        "(" * 100_000,
        "@" * 100_000,
        "a@" * 50_000,
        "a." * 50_000,
        "東京都" * 30_000,
        "市" * 100_000,
        "山田 " * 30_000,
        "A" * 100_000,
        "名" * 100_000,
        ":" * 100_000,
        "://" * 30_000,
        "password=" * 10_000,
        "氏名:" * 30_000,
        "1丁目" * 30_000,
        "\n" * 100_000,
        "様" * 100_000,
        "Aa " * 30_000,
        ",|" * 50_000,
        "-----BEGIN PRIVATE KEY-----" * 4_000,
        "記号12340番号" * 10_000,
        "1234567 " * 12_000,
        "eyJ" * 30_000,
        "生" * 100_000,
        "." * 100_000,
        "%41" * 30_000,
        "%25" * 30_000,
        "東京都港区" * 20_000,
        "東京都港区芝1-" * 12_000,
        "郡町" * 50_000,
        "★を" * 50_000,
        "マイナンバー1." * 12_000,
        "(昭和1年" * 20_000 + "生",
    ],
    ids=lambda text: text[:12],
)
@pytest.mark.timeout(60)
def test_no_text_makes_the_search_run_away(hostile):
    """A hundred thousand characters of the worst kind end; a pattern that backtracks would take hours."""
    scan(hostile)
