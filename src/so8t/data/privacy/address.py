"""Postal addresses down to the street number, and postal codes.

A town alone is no personal data. A number in the street makes it an address: after a prefecture in any spelling,
elsewhere only with 丁目, 番地, 号 or three numbers, or where the text says 住所.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from so8t.data.privacy.digits import AFTER, GAP, said_before, windows
from so8t.data.privacy.kinds import Finding, Kind

_PREFECTURE = (
    "(?:北海道|東京都|京都府|大阪府|(?:青森|岩手|宮城|秋田|山形|福島|茨城|栃木|群馬|埼玉|千葉|神奈川|新潟|富山|石川|福井|山梨|長野"
    "|岐阜|静岡|愛知|三重|滋賀|兵庫|奈良|和歌山|鳥取|島根|岡山|広島|山口|徳島|香川|愛媛|高知|福岡|佐賀|長崎|熊本|大分|宮崎|鹿児島"
    "|沖縄)県)"
)
_SPACE = r"[ ]{0,2}\n?[ ]{0,8}"
_NUMERAL = r"(?:[0-9]{1,5}|[一二三四五六七八九十百〇零]{1,5})"
# 三番町 and 一番町 are names of towns: there the number follows later.
_UNIT = r"(?:丁目|番地の|番地|地割|番(?![町丁])|号(?!室)|-|の(?=[0-9一二三四五六七八九十]))"
_STREET = rf"{_NUMERAL}{_SPACE}(?:{_UNIT}{_SPACE}(?:{_NUMERAL}(?:{_SPACE}(?=[丁番号-]))?)?){{1,5}}"
_TOWN = r"(?:[^\s0-9、。,:;()「」\[\]]|[0-9]{1,3}(?:条|線|区|軒)|[ \n](?=[^\s0-9、。,:;])){0,18}?[ ]?\n?"
_CITY = rf"(?:[^\s0-9、。,:;()「」\[\]市区町村郡]{{1,7}}{_SPACE}[市区町村郡]{_SPACE}){{1,3}}"
_BUILDING_NAME = r"[ ]?\n?[ ]{0,8}[^\s、。,:;()「」\[\]0-9]{1,24}?"
_BUILDING = (
    rf"(?:(?:{_BUILDING_NAME})?[ -]?\n?[0-9A-Z]{{1,5}}(?:号室|階|F)(?![A-Za-z0-9])"
    rf"|{_BUILDING_NAME}(?:ビル(?:ディング)?|マンション|ハイツ|荘|アパート|タワー|レジデンス|ハウス|団地|寮)(?![ァ-ヴー]))?"
)
_WITH_PREFECTURE = re.compile(rf"{_PREFECTURE}{_SPACE}(?:{_CITY})?{_TOWN}{_STREET}{_BUILDING}")
_CITIES_IN_KANA = (
    "(?:さいたま|つくば|つくばみらい|かすみがうら|ひたちなか|いわき|みどり|ふじみ野|あきる野|いすみ|にかほ|かほく|あわら|みよし|あま|いなべ"
    "|たつの|さぬき|みやま|うきは|えびの|いちき串木野|うるま|むつ|つがる|せたな|南アルプス)[市町]"
)
_WITHOUT_PREFECTURE = re.compile(
    rf"(?<![一-龥々ヶァ-ヴー])(?:{_CITIES_IN_KANA}|[一-龥々ヶ][一-龥々ヶぁ-んァ-ヴ]{{0,6}}?[市区町村])(?![場分間画別民役長政議内外立]){_SPACE}{_TOWN}(?P<street>{_STREET}){_BUILDING}"
)
_CITY_SIGN = re.compile("[市区町村]")
_CERTAIN_STREET = re.compile(rf"丁目|番地|番{_SPACE}{_NUMERAL}{_SPACE}号|(?:[0-9]{{1,3}}{_SPACE}-{_SPACE}){{2}}[0-9]")
_TOLD = re.compile(r"住所|所在地|居住地|お届け先|送付先|本籍|住まい|在住|〒|address", re.IGNORECASE)
_TOLD_REACH = 24

_CODE = rf"[0-9](?:{GAP}[0-9]){{6}}"
_POSTAL_CODE = re.compile(
    rf"(?:(?P<told>〒{_SPACE}|(?:郵便番号|postal ?code|post ?code|zip(?: ?code)?)[^0-9\n]{{0,6}}\n?[ ]{{0,8}})"
    rf"(?P<code>{_CODE}){AFTER}"
    rf"|(?<![0-9-])(?P<before>[0-9]{{3}}-[0-9]{{4}})(?={_SPACE}(?:{_PREFECTURE}|[一-龥]{{1,4}}[市区郡])))",
    re.IGNORECASE,
)
_US_ZIP = re.compile(
    r"(?:zip(?: ?code)?|postal ?code|post ?code)[^0-9A-Za-z\n]{0,4}"
    r"(?P<code>[0-9]{5}(?:-[0-9]{4})?|[A-Z]{1,2}[0-9][0-9A-Z]? [0-9][A-Z]{2})(?![0-9])",
    re.IGNORECASE,
)
_SUFFIX = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Way|Place|Pl"
    r"|Square|Sq|Terrace|Parkway|Pkwy|Circle|Highway|Hwy)"
)
_ENGLISH = re.compile(
    rf"[0-9](?<![0-9A-Za-z.,/-][0-9])[0-9]{{0,4}}[A-Z]?\s(?:[NSEW]\.? )?(?:[A-Z][A-Za-z'.]{{1,20}}\s){{1,4}}"
    rf"{_SUFFIX}\b\.?"
    rf"(?:,?\s(?:Apt|Apartment|Suite|Ste|Unit|Flat|#)\.?\s?[0-9A-Z-]{{1,6}})?"
    rf"(?:,?\s[A-Z][A-Za-z.'-]{{1,20}}(?:\s[A-Z][A-Za-z.'-]{{1,20}}){{0,2}})?"
    rf"(?:,?\s[A-Z]{{2}}\s[0-9]{{5}}(?:-[0-9]{{4}})?|,?\s[A-Z]{{1,2}}[0-9][0-9A-Z]? [0-9][A-Z]{{2}})?"
)
_ROMANISED = re.compile(
    r"[0-9](?<![0-9A-Za-z-][0-9])[0-9]{0,3}(?:-[0-9]{1,4}){1,3},?\s(?:[A-Z][A-Za-z'-]{1,24},?\s){1,4}?"
    r"(?:[A-Z][A-Za-z-]{1,24}-(?:ku|shi|cho|machi|gun|mura|son))(?:,?\s[A-Z][A-Za-z-]{2,24}){0,3}(?:,?\s[0-9]{3}-[0-9]{4})?"
)


def find(text: str) -> Iterator[Finding]:
    """Find them in folded text."""
    for match in _POSTAL_CODE.finditer(text):
        group = "code" if match["code"] else "before"
        yield Finding(Kind.POSTAL_CODE, *match.span(group))
    for match in _US_ZIP.finditer(text):
        yield Finding(Kind.POSTAL_CODE, *match.span("code"))
    for match in _WITH_PREFECTURE.finditer(text):
        yield _address(match)
    for start, end in windows(_CITY_SIGN, text, 12, 120):
        for match in _WITHOUT_PREFECTURE.finditer(text, start, end):
            if _CERTAIN_STREET.search(match["street"]) or said_before(_TOLD, text, match.start(), _TOLD_REACH):
                yield _address(match)
    for pattern in (_ENGLISH, _ROMANISED):
        for match in pattern.finditer(text):
            yield _address(match)


def _address(match: re.Match[str]) -> Finding:
    return Finding(Kind.ADDRESS, match.start(), match.start() + len(match[0].rstrip()))
