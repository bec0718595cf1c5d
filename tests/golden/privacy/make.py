"""Makes the labelled set for personal data: `python tests/golden/privacy/make.py`.

Everything is invented: numbers are drawn at random, names are put together from common and rare parts, and domains are
those reserved for examples where the form allows. One value to a row, with its offsets; rows without any are what
training text and training logs are full of and rules take for personal data.

A kind is written in every form people write it in: half- and full-width, with hyphens, spaces or a line break inside.
"""

from __future__ import annotations

import json
import random
import string
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).parent
PER_FORM = 60
PER_REASON = 60

Row = dict[str, object]
Draw = random.Random
FULL_WIDTH = {ord(c): ord(c) + 0xFEE0 for c in string.printable if "!" <= c <= "~"} | {ord(" "): 0x3000}


def full_width(value: str) -> str:
    return value.translate(FULL_WIDTH)


def digits(draw: Draw, count: int, first: str = "0123456789") -> str:
    return draw.choice(first) + "".join(draw.choices("0123456789", k=count - 1))


def split(value: str, lengths: Sequence[int], joint: str) -> str:
    parts, position = [], 0
    for length in lengths:
        parts.append(value[position : position + length])
        position += length
    return joint.join(parts)


def broken(draw: Draw, value: str) -> str:
    """The value with one line break in it, as a narrow page or a mail puts it."""
    at = draw.randint(2, len(value) - 2)
    return value[:at].rstrip() + "\n" + value[at:].lstrip()


# values with check digits


def my_number(draw: Draw) -> str:
    body = digits(draw, 11)
    weights = [n + 1 if n <= 6 else n - 5 for n in range(11, 0, -1)]
    remainder = sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 11
    return body + str(0 if remainder <= 1 else 11 - remainder)


def with_luhn(body: str) -> str:
    return next(body + last for last in string.digits if luhn_sum(body + last) % 10 == 0)


def luhn_sum(number: str) -> int:
    return sum(sum(divmod(int(d) * (1 + i % 2), 10)) for i, d in enumerate(reversed(number)))


CARDS = [
    ("4", 16, (4, 4, 4, 4)),
    ("51", 16, (4, 4, 4, 4)),
    ("55", 16, (4, 4, 4, 4)),
    ("2221", 16, (4, 4, 4, 4)),
    ("3528", 16, (4, 4, 4, 4)),
    ("3566", 16, (4, 4, 4, 4)),
    ("6011", 16, (4, 4, 4, 4)),
    ("62", 16, (4, 4, 4, 4)),
    ("34", 15, (4, 6, 5)),
    ("37", 15, (4, 6, 5)),
    ("36", 14, (4, 6, 4)),
    ("4", 19, (4, 4, 4, 4, 3)),
    ("4", 13, (4, 4, 5)),
]


def card(draw: Draw) -> tuple[str, tuple[int, ...]]:
    prefix, length, lengths = draw.choice(CARDS)
    return with_luhn(prefix + digits(draw, length - 1 - len(prefix))), lengths


def corporate_number(draw: Draw) -> str:
    body = digits(draw, 12)
    total = sum(int(d) * (1 if n % 2 else 2) for n, d in enumerate(reversed(body), start=1))
    return str(9 - total % 9) + body


def ean13(draw: Draw) -> str:
    body = draw.choice(["45", "49", "978"]) + digits(draw, 10)
    body = body[:12]
    return body + str(-sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(body)) % 10)


# people and places

# fmt: off
COMMON = (
    "佐藤", "鈴木", "高橋", "田中", "伊藤", "渡辺", "山本", "中村", "小林", "加藤", "吉田", "山田", "佐々木",
    "松本", "井上", "木村", "林", "斎藤", "清水", "山崎", "長谷川", "五十嵐",
)
RARE = (
    "榎並", "四十物", "勅使河原", "小鳥遊", "一尺八寸", "御手洗", "西園寺", "鬼頭", "六車", "薬師寺", "日下部",
    "綾小路", "不動", "宇佐美", "雲林院", "蓑輪", "轟木", "雪吹",
)
GIVEN = (
    "太郎", "花子", "健一", "美咲", "大輔", "陽子", "翔", "葵", "直樹", "真由美", "一郎", "智子", "拓也", "優",
    "隆", "恵", "蓮", "結衣", "さくら", "ひなた", "まゆみ", "たける",
)
# fmt: on
KANA = [
    ("ヤマダ", "タロウ"),
    ("サトウ", "ハナコ"),
    ("エナミ", "シュン"),
    ("ワタナベ", "ケンジ"),
    ("トドロキ", "アオイ"),
]
# fmt: off
ENGLISH_GIVEN = (
    "John", "Emily", "Michael", "Sarah", "Taro", "Hanako", "Rajesh", "Maria", "Wei", "Olga", "Ahmed", "Sofia",
    "Liam", "Yuki", "Kenji",
)
ENGLISH_FAMILY = (
    "Smith", "Johnson", "Garcia", "Nguyen", "Yamada", "O'Brien", "Schmidt", "Tanaka", "Kowalski", "Patel",
    "Suzuki", "McDonald", "Okonkwo", "Rossi",
)
# fmt: on
PLACES = [
    ("東京都", "千代田区", "丸の内"),
    ("東京都", "世田谷区", "三軒茶屋"),
    ("東京都", "千代田区", "三番町"),
    ("東京都", "八王子市", "みなみ野"),
    ("大阪府", "大阪市北区", "梅田"),
    ("北海道", "札幌市中央区", "大通西"),
    ("神奈川県", "横浜市西区", "みなとみらい"),
    ("京都府", "京都市下京区", "四条通"),
    ("愛知県", "名古屋市中村区", "名駅"),
    ("福岡県", "福岡市博多区", "博多駅前"),
    ("宮城県", "仙台市青葉区", "一番町"),
    ("沖縄県", "那覇市", "おもろまち"),
    ("長野県", "北佐久郡軽井沢町", "大字長倉"),
    ("鹿児島県", "鹿児島市", "山下町"),
    ("埼玉県", "さいたま市大宮区", "桜木町"),
    ("奈良県", "吉野郡十津川村", "小原"),
]
KANJI_DIGITS = "〇一二三四五六七八九"
BUILDINGS = ["", "", "", " 青葉マンション205号室", "コーポ山手101号室", " 第三中央ビル7階"]
# fmt: off
STREETS = (
    "Main", "Oak", "Maple", "Cedar", "Elm", "Washington", "Lake", "Hill", "Park", "Sunset", "River", "Church",
)
SUFFIXES = (
    "Street", "Avenue", "Road", "Boulevard", "Lane", "Drive", "St", "Ave", "Rd",
)
# fmt: on
CITIES = [("Springfield", "IL"), ("Portland", "OR"), ("Austin", "TX"), ("Albany", "NY"), ("San Jose", "CA")]


def name(draw: Draw) -> str:
    family = draw.choice(COMMON if draw.random() < 0.6 else RARE)
    return family + draw.choice(["", " ", "\u3000"]) + draw.choice(GIVEN)


def english_name(draw: Draw) -> str:
    return f"{draw.choice(ENGLISH_GIVEN)} {draw.choice(ENGLISH_FAMILY)}"


def kanji_number(number: int) -> str:
    if number < 10:
        return KANJI_DIGITS[number]
    tens, ones = divmod(number, 10)
    return ("" if tens == 1 else KANJI_DIGITS[tens]) + "十" + (KANJI_DIGITS[ones] if ones else "")


def address(draw: Draw, form: str) -> str:
    prefecture, city, town = draw.choice(PLACES)
    a, b, c = draw.randint(1, 9), draw.randint(1, 30), draw.randint(1, 20)
    street = draw.choice([f"{a}-{b}-{c}", f"{a}丁目{b}番{c}号", f"{a}丁目{b}-{c}", f"{b}番地{c}", f"{b}番地"])
    if form == "kanji_numerals":
        street = f"{kanji_number(a)}丁目{kanji_number(b)}番{kanji_number(c)}号"
    joint = {"space": " ", "newline": "\n"}.get(form, "")
    whole = prefecture + joint + city + (joint if form == "space" else "") + town + street + draw.choice(BUILDINGS)
    if form == "without_prefecture":
        whole = city + town + f"{a}丁目{b}番{c}号"
    return full_width(whole) if form == "fullwidth" else whole


def english_address(draw: Draw) -> str:
    city, state = draw.choice(CITIES)
    street = f"{draw.randint(1, 9999)} {draw.choice(STREETS)} {draw.choice(SUFFIXES)}"
    return draw.choice(
        [
            f"{street}, {city}, {state} {digits(draw, 5, '123456789')}",
            f"{street}, Apt {draw.randint(1, 40)}B, {city}, {state} {digits(draw, 5, '123456789')}",
            f"{draw.randint(1, 9)}-{draw.randint(1, 30)}-{draw.randint(1, 20)} Marunouchi, Chiyoda-ku, Tokyo 100-0005",
            f"{draw.randint(1, 9)}-{draw.randint(1, 30)} Umeda, Kita-ku, Osaka",
        ]
    )


# phones

AREAS = [
    "03",
    "06",
    "011",
    "045",
    "052",
    "075",
    "092",
    "022",
    "082",
    "0422",
    "0467",
    "0742",
    "0952",
    "0263",
    "0138",
    "01267",
    "04992",
]


def phone(draw: Draw) -> tuple[str, tuple[int, int, int]]:
    if draw.random() < 0.5:
        return draw.choice(["090", "080", "070", "050"]) + digits(draw, 8, "123456789"), (3, 4, 4)
    area = draw.choice(AREAS)
    return area + digits(draw, 6 - len(area), "23456789") + digits(draw, 4), (len(area), 6 - len(area), 4)


def foreign_phone(draw: Draw) -> str:
    number, lengths = phone(draw)
    area = f"{draw.choice('23456789')}{digits(draw, 2, '1234567')}"
    exchange = f"{draw.choice('23456789')}{digits(draw, 2, '1234567')}"
    area = "212" if area[0] == "8" else area
    return draw.choice(
        [
            "+81-" + split(number, lengths, "-")[1:],
            "+81 " + split(number, lengths, " ")[1:],
            "+81" + number[1:],
            "+81 (0)" + split(number, lengths, "-")[1:],
            f"({area}) {exchange}-{digits(draw, 4)}",
            f"{area}-{exchange}-{digits(draw, 4)}",
            f"+1 {area}-{exchange}-{digits(draw, 4)}",
            f"+44 20 {digits(draw, 4, '378')} {digits(draw, 4)}",
            f"+49 30 {digits(draw, 8, '23456789')}",
        ]
    )


# others

ALPHANUMERIC = string.ascii_letters + string.digits


def random_text(draw: Draw, count: int, alphabet: str = ALPHANUMERIC) -> str:
    return "".join(draw.choices(alphabet, k=count))


def email(draw: Draw, form: str) -> str:
    local = draw.choice(
        [
            f"{draw.choice(ENGLISH_GIVEN).lower()}.{draw.choice('abcdefg')}{digits(draw, 2)}",
            f"user{digits(draw, 4)}",
            f"t_yamada+{digits(draw, 2)}",
        ]
    )
    domain = draw.choice(
        ["example.com", "example.co.jp", "mail.example.org", "sub-domain.example.net", "例え.jp", "日本語.example"]
    )
    if form == "disguised":
        domain = draw.choice(["example.com", "example.co.jp"])
        return draw.choice(
            [
                f"{local}[at]{domain}",
                f"{local} (at) {domain.replace('.', ' (dot) ')}",
                f"{local}アットマーク{domain}",
                f"{local} at {domain.replace('.', ' dot ')}",
                f"{local} @ {domain}",
            ]
        )
    if form == "newline":
        return f"{local}@\n{domain}"
    return full_width(f"{local}@{domain}") if form == "fullwidth" else f"{local}@{domain}"


def secret(draw: Draw) -> tuple[str, str]:
    """What stands before the value, and the value."""
    return draw.choice(
        [
            lambda: ("", "hf_" + random_text(draw, 34)),
            lambda: ("token: ", "ghp_" + random_text(draw, 36)),
            lambda: ("", "sk-proj-" + random_text(draw, 40)),
            lambda: ("", "AKIA" + random_text(draw, 16, string.ascii_uppercase + string.digits)),
            lambda: ("", "AIza" + random_text(draw, 35)),
            lambda: ("", "xoxb-" + digits(draw, 12) + "-" + random_text(draw, 24)),
            lambda: ("Authorization: Bearer ", random_text(draw, 40)),
            lambda: ("password=", random_text(draw, 12)),
            lambda: ("パスワードは", random_text(draw, 10)),
            lambda: ("パスワード:", random_text(draw, 10)),
            lambda: ("AWS_SECRET_ACCESS_KEY=", random_text(draw, 40)),
            lambda: ('"api_key": "', random_text(draw, 32)),
            lambda: ("https://example.com/reset?token=", random_text(draw, 24)),
            lambda: ("postgres://", f"app:{random_text(draw, 12)}"),
            lambda: ("", "eyJ" + random_text(draw, 20) + ".eyJ" + random_text(draw, 40) + "." + random_text(draw, 43)),
            lambda: (
                "",
                "-----BEGIN PRIVATE KEY-----\n"
                + random_text(draw, 64)
                + "\n"
                + random_text(draw, 64)
                + "\n-----END PRIVATE KEY-----",
            ),
        ]
    )()


def date_of_birth(draw: Draw, form: str) -> str:
    year, month, day = draw.randint(1930, 2009), draw.randint(1, 12), draw.randint(1, 28)
    value = {
        "plain": f"{year}年{month}月{day}日",
        "hyphen": f"{year}-{month:02}-{day:02}",
        "slash": f"{year}/{month}/{day}",
        "era": f"{draw.choice(['昭和', '平成'])}{draw.randint(1, 30)}年{month}月{day}日",
        "newline": f"{year}年\n{month}月{day}日",
        "fullwidth": full_width(f"{year}年{month}月{day}日"),
    }
    return value[form]


# positives

Context = tuple[str, str]
"""Text before and after a value."""

NUMBER_FORMS = ("plain", "fullwidth", "hyphen", "space", "newline", "fullwidth_hyphen")
BEFORE_AND_AFTER = [
    ("", ""),
    ("お世話になっております。", "ご確認ください。"),
    ("以下のとおり登録しました。\n", "\n以上です。"),
    ("[2025-11-03 10:15:22] INFO ", " / step=1200 loss=2.345"),
    ("※", "(写しを添付)"),
]


def written(draw: Draw, value: str, lengths: Sequence[int], form: str) -> str:
    if form == "plain":
        return value
    if form == "fullwidth":
        return full_width(value)
    if form == "hyphen":
        return split(value, lengths, draw.choice(["-", "-", "‐", "–", "−"]))
    if form == "fullwidth_hyphen":
        return full_width(split(value, lengths, "-")).replace("－", draw.choice(["－", "ー", "‐", "―"]))
    if form == "space":
        return split(value, lengths, draw.choice([" ", "\u3000"]))
    return draw.choice([broken(draw, value), split(value, lengths, "-\n"), split(value, lengths, "\n")])


def row(draw: Draw, kind: str, form: str, value: str, contexts: Sequence[Context]) -> Row:
    before, after = draw.choice(contexts)
    left, right = draw.choice(BEFORE_AND_AFTER)
    lead = left + before
    return {
        "text": lead + value + after + right,
        "kind": kind,
        "form": form,
        "start": len(lead),
        "end": len(lead) + len(value),
    }


def positives(draw: Draw) -> Iterator[Row]:
    for kind, forms, make, contexts in KINDS:
        for form in forms:
            for _ in range(PER_FORM):
                yield row(draw, kind, form, make(draw, form), contexts)
    yield from name_rows(draw)
    for _ in range(4 * PER_FORM):
        before, value = secret(draw)
        after = "@db.example.com/main" if before == "postgres://" else draw.choice(["", "\n", " です"])
        yield row(draw, "secret", "plain", value, [(before, after)])


def numbers(lengths: Sequence[int], make: Callable[[Draw], str]) -> Callable[[Draw, str], str]:
    return lambda draw, form: written(draw, make(draw), lengths, form)


def any_phone(draw: Draw, form: str) -> str:
    if form == "abroad":
        return foreign_phone(draw)
    number, lengths = phone(draw)
    if form == "parentheses":
        a, b, c = split(number, lengths, " ").split(" ")
        return draw.choice([f"({a}){b}-{c}", f"{a}({b}){c}", f"({a}) {b}-{c}"])
    return written(draw, number, lengths, form)


def paper(first: str, count: int, last: str) -> Callable[[Draw, str], str]:
    """Letters, digits, letters: `first` and `last` say how many letters as so many A."""

    def make(draw: Draw, form: str) -> str:
        head, tail = (
            random_text(draw, len(first), string.ascii_uppercase),
            random_text(draw, len(last), string.ascii_uppercase),
        )
        body = digits(draw, count)
        joint = {"hyphen": "-", "space": " ", "newline": "\n"}.get(form, "")
        value = joint.join(part for part in (head, body, tail) if part)
        return full_width(value) if form == "fullwidth" else value

    return make


def bank_account(draw: Draw, form: str) -> str:
    value = digits(draw, 7)
    return {
        "hyphen": split(value, (3, 4), "-"),
        "space": split(value, (3, 4), " "),
        "newline": split(value, (3, 4), "\n"),
    }.get(form, full_width(value) if form == "fullwidth" else value)


def postal_bank(draw: Draw, form: str) -> str:
    symbol, number = "1" + digits(draw, 3) + "0", digits(draw, 6) + "1"
    return f"{symbol} 番号{number}" if form == "plain" else full_width(f"{symbol} 番号{number}")


def iban(draw: Draw, _: str) -> str:
    country, body = draw.choice([("GB", "WEST" + digits(draw, 14)), ("DE", digits(draw, 18)), ("FR", digits(draw, 23))])
    number = int("".join(str(int(c, 36)) for c in body + country + "00"))
    value = f"{country}{98 - number % 97:02}{body}"
    return value if draw.random() < 0.5 else " ".join(value[i : i + 4] for i in range(0, len(value), 4))


def ip_address(draw: Draw, form: str) -> str:
    if form == "version_6":
        return draw.choice(["2001:db8", "2400:cb00", "fd12:3456"]) + "".join(
            f":{draw.randint(1, 65535):x}" for _ in range(6)
        )
    value = ".".join(str(draw.randint(1, 254)) for _ in range(4))
    value = "203." + value.split(".", 1)[1] if value.startswith(("127.", "22", "23", "24", "25")) else value
    return full_width(value) if form == "fullwidth" else value


KINDS: list[tuple[str, Sequence[str], Callable[[Draw, str], str], Sequence[Context]]] = [
    (
        "my_number",
        NUMBER_FORMS,
        numbers((4, 4, 4), my_number),
        [
            ("マイナンバーは", "です。"),
            ("個人番号:", ""),
            ("マイナンバー(個人番号) ", " を提出します。"),
            ("扶養家族の個人番号は次のとおり。\n", "\n"),
            ("My Number: ", "."),
            ("Individual Number (My Number) ", " was submitted."),
            ("通知カードの番号 ", "、発行済み"),
        ],
    ),
    (
        "card",
        NUMBER_FORMS,
        lambda draw, form: written(draw, *card(draw), form),
        [
            ("クレジットカード番号は", "です。"),
            ("カード番号:", " 有効期限 12/28"),
            ("Credit card: ", ", exp 12/28"),
            ("VISAカード ", "で支払いました"),
            ("My card number is ", "."),
            ("決済に使ったカードは", "、名義は本人です"),
        ],
    ),
    (
        "phone",
        (*NUMBER_FORMS, "parentheses", "abroad"),
        any_phone,
        [
            ("電話:", ""),
            ("電話番号は", "です。"),
            ("TEL ", ""),
            ("TEL:", " FAX なし"),
            ("携帯 ", " まで"),
            ("ご連絡は", "へお願いします。"),
            ("Phone: ", "."),
            ("Call me at ", " after six."),
            ("緊急連絡先 ", "(母)"),
            ("問い合わせ先は", "。"),
        ],
    ),
    (
        "email",
        ("plain", "fullwidth", "newline", "disguised"),
        email,
        [
            ("メール:", ""),
            ("連絡先は", " です。"),
            ("E-mail: ", ""),
            ("Contact ", " for details."),
            ("<", ">"),
            ("宛先「", "」に送信"),
            ("mailto:", "\n"),
        ],
    ),
    (
        "postal_code",
        ("plain", "fullwidth", "hyphen", "space", "newline"),
        numbers((3, 4), lambda draw: digits(draw, 7)),
        [
            ("〒", " 東京都港区"),
            ("〒 ", "\n"),
            ("郵便番号:", ""),
            ("郵便番号は", "です。"),
            ("Postal code: ", ""),
            ("zip code ", ", Japan"),
        ],
    ),
    (
        "address",
        ("plain", "fullwidth", "space", "newline", "kanji_numerals", "without_prefecture"),
        address,
        [
            ("住所:", ""),
            ("住所は", "です。"),
            ("お届け先:", "\n"),
            ("現在、", "に住んでいます。"),
            ("お届け先\n", "\n"),
            ("発送先は", "、不在時は連絡ください"),
        ],
    ),
    (
        "address",
        ("english",),
        lambda draw, _: english_address(draw),
        [("Address: ", ""), ("I live at ", "."), ("Ship to ", "\n"), ("Mailing address:\n", "\n")],
    ),
    (
        "account",
        ("plain", "fullwidth", "hyphen", "space", "newline"),
        bank_account,
        [
            ("みずほ銀行 新宿支店 普通 ", ""),
            ("普通預金 ", ""),
            ("口座番号:", ""),
            ("口座番号は", "です。"),
            ("当座 ", " にお振込みください"),
            ("Account number: ", ""),
            ("account no. ", " at the branch"),
            ("三井住友銀行本店営業部(普)", "\n"),
        ],
    ),
    ("account", ("plain", "fullwidth"), postal_bank, [("ゆうちょ銀行 記号", ""), ("記号", "\n"), ("振込先 記号:", "")]),
    ("account", ("iban",), iban, [("IBAN ", ""), ("Transfer to ", ".")]),
    (
        "passport",
        ("plain", "fullwidth", "hyphen", "space", "newline"),
        paper("AA", 7, ""),
        [
            ("旅券番号:", ""),
            ("パスポート番号は", "です。"),
            ("Passport No. ", ""),
            ("passport number ", " was issued"),
            ("旅券(番号 ", ")"),
        ],
    ),
    (
        "driving_licence",
        NUMBER_FORMS,
        numbers((4, 4, 4), lambda draw: digits(draw, 12)),
        [
            ("運転免許証 第", "号"),
            ("免許証番号:", ""),
            ("免許証の番号は", "です。"),
            ("Driver's license: ", ""),
            ("driving licence no. ", ""),
        ],
    ),
    (
        "residence_card",
        ("plain", "fullwidth", "hyphen", "space", "newline"),
        paper("AA", 8, "AA"),
        [
            ("在留カード番号:", ""),
            ("在留カードの番号は", "です。"),
            ("Residence card ", " (valid)"),
            ("在留カード等番号 ", "\n"),
        ],
    ),
    (
        "pension_number",
        ("plain", "fullwidth", "hyphen", "space", "newline"),
        numbers((4, 6), lambda draw: digits(draw, 10)),
        [("基礎年金番号:", ""), ("基礎年金番号は", "です。"), ("年金手帳の番号 ", "\n")],
    ),
    (
        "insurance_number",
        ("plain", "fullwidth", "space", "newline"),
        numbers((4, 4), lambda draw: digits(draw, 8)),
        [("保険者番号:", ""), ("被保険者番号は", "です。"), ("健康保険証の番号 ", "\n")],
    ),
    (
        "ip_address",
        ("plain", "fullwidth", "version_6"),
        ip_address,
        [
            ("IPアドレス ", " から接続"),
            ("from ", " port 22"),
            ("client=", ","),
            ("接続元は", "です。"),
            ("remote_addr: ", "\n"),
        ],
    ),
    (
        "birth_date",
        ("plain", "fullwidth", "hyphen", "slash", "era", "newline"),
        date_of_birth,
        [
            ("生年月日:", ""),
            ("生年月日は", "です。"),
            ("", "生まれ"),
            ("誕生日 ", "\n"),
            ("Date of birth: ", ""),
            ("was born on ", "."),
        ],
    ),
]

LABELS = ["氏名:", "お名前:", "担当者:", "氏名 ", "患者名:", "代表者名:", "口座名義:", "名前(漢字):"]
HONORIFICS = ["様", "さん", "先生", "殿", " 様", "さま"]


def name_rows(draw: Draw) -> Iterator[Row]:
    for _ in range(PER_FORM):
        yield row(
            draw,
            "name",
            "label",
            name(draw),
            [(label, after) for label in LABELS for after in ("\n", " 電話は別途連絡")],
        )
        yield row(draw, "name", "label_kana", " ".join(draw.choice(KANA)), [("フリガナ:", "\n"), ("氏名(カナ):", "\n")])
        yield row(
            draw,
            "name",
            "introduction",
            name(draw),
            [("初めまして、私は", "と申します。"), ("", "と申します。"), ("営業部の", "と申します。")],
        )
        yield row(
            draw,
            "name",
            "english_label",
            english_name(draw),
            [("Name: ", "\n"), ("Full name: ", ", 34"), ("name=", ";"), ("Customer Name: ", "")],
        )
        yield row(
            draw, "name", "english_title", english_name(draw), [("Dear Mr. ", ","), ("Dr. ", " said"), ("by Ms. ", ".")]
        )
        yield row(
            draw,
            "name",
            "english_introduction",
            english_name(draw),
            [("My name is ", "."), ("Hello, my name is ", ", nice to meet you")],
        )
        yield row(
            draw,
            "name",
            "newline",
            draw.choice(COMMON + RARE) + "\n" + draw.choice(GIVEN),
            [("氏名:", "\n"), ("お名前:", "\n")],
        )
    for _ in range(PER_FORM):
        known = draw.choice(COMMON) + draw.choice(["", draw.choice(GIVEN), " " + draw.choice(GIVEN)])
        # 1 in 30 bears a rare surname and nothing else: a known limit, counted as what it is
        value = draw.choice(RARE) if draw.random() < 1 / 30 else known
        yield row(draw, "name", "honorific", value, [("", honorific + "よりご連絡") for honorific in HONORIFICS])


# negatives

PLAIN_TEXTS = [
    "お客様各位 平素より格別のご高配を賜り厚く御礼申し上げます。",
    "製品仕様は予告なく変更する場合があります。",
    "多様な利用者様のご意見を反映しました。",
    "同様の事象が発生した場合は店員さんにお声がけください。",
    "私は学生です。",
    "私は反対です。私は大丈夫です。",
    "担当者は不在です。",
    "担当:営業部",
    "氏名:記入必須",
    "氏名 変更届",
    "Name: Required",
    "name: str = None",
    "The author: unknown",
    "皆さん、神様、王様の話",
    "東京都千代田区で開催された会議",
    "大阪市北区は大阪府の行政区です。",
    "民法第90条第1項",
    "昭和五十五年法律第五十七号",
    "第3章2節1項を参照",
    "パスワードは8文字以上にしてください。",
    "password: ********",
    "token: null",
    "api_key = os.environ['API_KEY']",
    "@pytest.fixture",
    "npm install left-pad@1.3.0",
    "git clone git@github.com:owner/project.git",
    "icon@2x.png",
    "ssh user@localhost",
    "std::vector<int>::iterator",
    "dead::beef",
    "支払いは銀行振込です。",
    "普通 1234567円",
    "口座残高は 1,234,567 円です。",
    "パスポートを忘れずに。",
    "免許を取得した。",
    "マイナンバー制度は2015年に始まった。",
    "午前中は森さんぽに行く。",
    "林道を進むと原生林に出る。",
    "華氏 98.6、摂氏 37.0",
    "源氏物語は紫式部の作とされる。",
    "郵便番号は7桁です。",
    "電話は苦手です。",
    "電話番号は10桁または11桁の数字です。",
    "127.0.0.1 で待ち受ける",
    "0.0.0.0:8000",
    "netmask 255.255.255.0",
    "誕生日おめでとう!",
    "2010年生まれの世代",
    "born to run",
    "1-2-3 and 4-5-6 are differences",
    "3丁目の夕日",
    "市場区分の見直し",
    "5番目の項目",
    "1番線と2番線",
    "国際単位系 (SI)",
    "the 21st Street view of 1990s",
    "Mr. と Ms. の違い",
    "価格は据え置きです。",
    "会員様限定",
    "担当者様へ",
    "以上、よろしくお願いいたします。",
]


def negatives(draw: Draw) -> Iterator[Row]:
    for why, make in NOT_PERSONAL:
        for _ in range(PER_REASON):
            yield {"text": make(draw), "why": why}
    for text in PLAIN_TEXTS:
        yield {"text": text, "why": "plain text"}


def around(draw: Draw, value: str) -> str:
    before, after = draw.choice(
        [
            ("", ""),
            ("値は", "です。"),
            ("id=", ""),
            ("time: ", "\n"),
            ("(", ")"),
            ("| ", " |"),
            ("処理番号 ", " を完了"),
        ]
    )
    return before + value + after


def free_number(draw: Draw) -> str:
    prefix, lengths, count = draw.choice([("0120", (4, 3, 3), 10), ("0800", (4, 3, 4), 11), ("0570", (4, 3, 3), 10)])
    value = prefix + digits(draw, count - 4)
    return draw.choice(
        [value, split(value, lengths, "-"), full_width(split(value, lengths, "-")), split(value, lengths, " ")]
    )


def log_line(draw: Draw) -> str:
    step = draw.randint(1, 999_999)
    return (
        f"{{'loss': {draw.uniform(0, 12):.4f}, 'grad_norm': {draw.uniform(0, 3):.16f}, "
        f"'learning_rate': {draw.uniform(1e-6, 1e-3):.12e}, "
        f"'epoch': {draw.uniform(0, 3):.2f}, 'step': {step}, 'tokens': {step * 4096}}}"
    )


def number_table(draw: Draw) -> str:
    return "\n".join(" ".join(str(draw.randint(100, 9999)) for _ in range(4)) for _ in range(4))


def wrapped_floats(draw: Draw) -> str:
    return "\n".join(f"{draw.uniform(0, 100):.{draw.randint(3, 12)}f}" for _ in range(6))


def timestamp(draw: Draw) -> str:
    date = f"{draw.randint(1990, 2026)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
    time = f"{draw.randint(0, 23):02}:{draw.randint(0, 59):02}:{draw.randint(0, 59):02}"
    compact = (date + time).replace("-", "").replace(":", "")
    return draw.choice(
        [
            date,
            f"{date}T{time}Z",
            f"{date} {time}.{digits(draw, 6)}",
            compact,
            date.replace("-", "/"),
            f"{date.replace('-', '年', 1).replace('-', '月')}日",
        ]
    )


NOT_PERSONAL: list[tuple[str, Callable[[Draw], str]]] = [
    ("epoch seconds", lambda draw: around(draw, str(draw.randint(1_000_000_000, 1_800_000_000)))),
    ("epoch milliseconds", lambda draw: around(draw, str(draw.randint(1_000_000_000_000, 1_800_000_000_000)))),
    ("epoch microseconds", lambda draw: around(draw, str(draw.randint(1_000_000_000_000_000, 1_800_000_000_000_000)))),
    ("epoch nanoseconds", lambda draw: around(draw, str(draw.randint(10**18, 18 * 10**17)))),
    ("epoch fraction", lambda draw: around(draw, f"{draw.randint(10**9, 18 * 10**8)}.{digits(draw, 6)}")),
    ("sha256", lambda draw: around(draw, random_text(draw, 64, "0123456789abcdef"))),
    ("md5", lambda draw: around(draw, random_text(draw, 32, "0123456789abcdef"))),
    ("commit", lambda draw: "commit " + random_text(draw, draw.choice([7, 12, 40]), "0123456789abcdef")),
    ("uuid", lambda draw: around(draw, str(uuid.UUID(int=draw.getrandbits(128), version=4)))),
    ("decimal", lambda draw: around(draw, f"{draw.uniform(0, 1):.{draw.randint(10, 17)}f}")),
    ("loss", log_line),
    ("table", number_table),
    ("column of decimals", wrapped_floats),
    ("corporate number", lambda draw: draw.choice(["法人番号 ", "法人番号:", ""]) + corporate_number(draw)),
    ("corporate number, full-width", lambda draw: "法人番号は" + full_width(corporate_number(draw)) + "です。"),
    ("freephone", lambda draw: draw.choice(["", "電話 ", "フリーダイヤル ", "TEL:"]) + free_number(draw)),
    ("date", lambda draw: around(draw, timestamp(draw))),
    (
        "price",
        lambda draw: (
            draw.choice(["¥", "$", "合計 ", "価格は"])
            + f"{draw.randint(1000, 99_999_999):,}"
            + draw.choice(["", "円", "円(税込)"])
        ),
    ),
    ("price, plain", lambda draw: f"{draw.randint(1000, 99_999_999)}円"),
    ("bar code", lambda draw: draw.choice(["JAN ", "", "商品コード:"]) + ean13(draw)),
    ("book number", lambda draw: "ISBN " + draw.choice([ean13(draw), digits(draw, 9) + "X", digits(draw, 10)])),
    (
        "version",
        lambda draw: (
            draw.choice(["v", "version ", "バージョン", "=="]) + ".".join(str(draw.randint(0, 30)) for _ in range(4))
        ),
    ),
    ("order number", lambda draw: "ご注文番号 " + digits(draw, 12, "123456789")),
    ("tracking number", lambda draw: "お問い合わせ伝票番号 " + split(digits(draw, 12, "123456789"), (4, 4, 4), " ")),
    ("identifier of 16 digits", lambda draw: around(draw, digits(draw, 16, "123456789"))),
    ("identifier of 18 digits", lambda draw: around(draw, digits(draw, 18, "123456789"))),
    ("seed", lambda draw: f"seed={draw.randint(0, 2**63)}"),
    ("zero-padded step", lambda draw: f"checkpoint-{draw.randint(0, 99_999):010}"),
    (
        "file name",
        lambda draw: (
            f"IMG_{timestamp(draw).split('T')[0][:10].replace('-', '').replace('/', '')}_{digits(draw, 6)}.jpg"
        ),
    ),
    ("coordinates", lambda draw: f"{draw.uniform(24, 46):.6f}, {draw.uniform(123, 146):.6f}"),
    (
        "paper",
        lambda draw: (
            f"arXiv:{draw.randint(15, 26)}{draw.randint(1, 12):02}.{digits(draw, 5)} "
            f"doi:10.{digits(draw, 4)}/{digits(draw, 7)}.{digits(draw, 7)}"
        ),
    ),
    (
        "model number",
        lambda draw: f"型番 {random_text(draw, 3, string.ascii_uppercase)}-{digits(draw, 4)}-{digits(draw, 4)}",
    ),
    ("range", lambda draw: f"pp. {draw.randint(100, 500)}-{draw.randint(501, 2000)}"),
    ("law", lambda draw: f"第{draw.randint(1, 99)}条第{draw.randint(1, 9)}項第{draw.randint(1, 9)}号"),
    (
        "ratio and score",
        lambda draw: f"{draw.randint(1, 30)}-{draw.randint(1, 30)} {draw.randint(1, 16)}:{draw.randint(1, 9)}",
    ),
]


def main() -> None:
    """Write both files."""
    for file, rows in (("positives.jsonl", positives), ("negatives.jsonl", negatives)):
        lines = (json.dumps(each, ensure_ascii=False) for each in rows(random.Random(file)))
        with (HERE / file).open("w", encoding="utf-8", newline="\n") as out:
            out.writelines(line + "\n" for line in lines)


if __name__ == "__main__":
    main()
