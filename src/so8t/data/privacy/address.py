"""Postal addresses down to the street number, and postal codes.

A town alone is no personal data. A number in the street makes it an address: after a prefecture and a municipality in
any spelling, after less only with 丁目, 番地, 号 or three numbers, or where the text says 住所. What is counted
("5-6人") and what a particle parts from the place ("市で3-1") is no number in a street.
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

# のぞみ野, はるひ野, にじが丘 and もみじ台 are towns: before another hiragana such a letter may begin a name.
_PARTICLE = (
    r"(?:[をで]|[のはにともがへや](?![ぁ-ん])|に[はもてお]|と[はの]|があ|へ[のは]|から|まで|より|など|内[のはにでをも])"
)
_NO_MUNICIPALITY = (
    "(?:場|分(?![梅部])|間|画|別(?![所府])|民|役[所場]|長[はがのをに選]|政|議|外[のはにで]|立[小中高大図病]|営)"
)
_CITY = (
    rf"(?:(?!{_PARTICLE})[^\s0-9、。,:;()「」\[\]をで]{{1,7}}?{_SPACE}"
    rf"[市区町村郡](?!{_NO_MUNICIPALITY}){_SPACE}){{1,3}}"
)
_TOWN = (
    r"(?:[^\s0-9、。,:;!?・()「」\[\]をでは]|は(?=[ぁ-ん])|[0-9]{1,3}(?:条|線|区|軒)|[ \n](?=[^\s0-9、。,:;])){0,18}?"
    r"(?<![がはにへ])(?<![^ぁ-ん][のともや])(?<!から|より|など)"
    r"(?<![第約数率費額])(?<!令和|平成|昭和|大正|明治|人口|面積|標高|定員|気温)[ ]?\n?"
)
_PLAIN_TOWN = re.compile(r"(?:[一-龥々ヶ]|[のノケツがつりる](?=[一-龥]|$)|[0-9]{1,3}(?:条|線|区|軒))+")

_TOWN_IN_LETTERS = re.compile(r"[一-龥々ヶぁ-んァ-ヴー0-9\s]+")

_NUMERAL = r"(?:[0-9]{1,5}|[一二三四五六七八九十百〇零]{1,5})"
_END = (
    r"(?=[\s、。,;:)」』\]|/]|$|です|でし|に(?:[住在引転届送あお]|て)|在住|宛"
    "|の(?:自宅|実家|家|住[宅民]|土地|建物|物件))"
)
# 三番町 and 一番町 are names of towns: there the number follows later.
_BLOCK = rf"丁目|番地の|番地|地割|番(?={_SPACE}{_NUMERAL}|(?<=[0-9]番){_END})|-|の(?=[0-9一二三四五六七八九十])"
_DATE = r"(?:18|19|20)[0-9]{2}-(?:0|[0-9]{1,2}-[0-9]{1,2}(?![0-9])|(?:19|20)[0-9]{2})"
_COUNTED = (
    "(?!日本|日[立産]|日の出|月島|名[古鉄駅]|本[町郷社館田]|台[東場]|人形|分[室譲]|店舗|校舎|代[々官]|社宅|千[代葉]|組合|両国)"
    "(?:[人名月日年時分秒位個件回歳才円度倍点社台代割杯本枚匹頭羽冊店票校万億千兆週泊勝敗戦組級周両食曲話巻章条項行列班種色段着つ]"
    "|番[目手]|[かカヵヶケ][月所国年条]|世[帯紀]|程度|前後|以[上下内]|未満|平方|メートル|センチ|ミリ|キロ|グラム|トン|リットル"
    "|ドル|ユーロ|ポイント|パーセント|セット|ゴール|ヘクタール|で(?:勝|敗|引)|の(?:勝|敗|引|差|比|割)"
    "|[ ]?(?:%|°|(?:[kcm]?m|[km]?g|[km]?l|ha)(?![A-Za-z])))"
)
_PART = rf"{_SPACE}(?:{_NUMERAL}(?:{_SPACE}(?=[丁番号-]))?)?"
# atomic: "10-20件" must not end as "10-2"
_STREET = (
    rf"(?P<street>(?!{_DATE})(?>{_NUMERAL}{_SPACE}(?:{_BLOCK}){_PART}(?:(?:{_BLOCK}|号(?!室)){_PART}){{0,4}})"
    rf"(?:号室)?(?![0-9])(?!(?<=[0-9一二三四五六七八九十百〇零]){_COUNTED})|(?P<bare>[0-9]{{1,5}}){_END})"
)
_BUILDING_NAME = r"[ ]?\n?[ ]{0,8}[^\s、。,:;()「」\[\]0-9]{1,24}?"
_BUILDING = (
    rf"(?:(?:{_BUILDING_NAME})?[ -]?\n?[0-9A-Z]{{1,5}}(?:号室|階|F)(?![A-Za-z0-9])"
    rf"|{_BUILDING_NAME}(?:ビル(?:ディング)?|マンション|ハイツ|荘|アパート|タワー|レジデンス|ハウス|団地|寮)(?![ァ-ヴー]))?"
)
_WITH_PREFECTURE = re.compile(
    rf"{_PREFECTURE}{_SPACE}(?P<city>(?>{_CITY}))?(?!{_PARTICLE})(?P<town>{_TOWN}){_STREET}{_BUILDING}"
)
_CITIES_IN_KANA = (
    "(?:さいたま|つくば|つくばみらい|かすみがうら|ひたちなか|いわき|みどり|ふじみ野|あきる野|いすみ|にかほ|かほく|あわら|みよし|あま|いなべ"
    "|たつの|さぬき|みやま|うきは|えびの|いちき串木野|うるま|むつ|つがる|せたな|南アルプス)[市町]"
)
_WITHOUT_PREFECTURE = re.compile(
    rf"(?:(?<![一-龥々ヶァ-ヴー])(?!住所|本籍)|(?<=住所|本籍))"
    rf"(?:{_CITIES_IN_KANA}|[一-龥々ヶ](?:(?![をでには])[一-龥々ヶぁ-んァ-ヴ]){{0,6}}?[市区町村])(?!{_NO_MUNICIPALITY}|{_PARTICLE})"
    rf"{_SPACE}(?P<town>{_TOWN}){_STREET}{_BUILDING}"
)
_CITY_SIGN = re.compile("[市区町村]")
_IN_A_WARD = re.compile(rf"(?:市[^\s市]{{1,6}}区|郡[^\s郡]{{1,6}}[町村])(?!{_NO_MUNICIPALITY}|{_PARTICLE})[^\s0-9]")
_HOUSE = rf"丁目{_SPACE}{_NUMERAL}|番地|番{_SPACE}{_NUMERAL}{_SPACE}号|(?:[0-9]{{1,3}}{_SPACE}-{_SPACE}){{2}}[0-9]"
_CERTAIN_HOUSE = re.compile(_HOUSE)
_CERTAIN_STREET = re.compile(rf"丁目|{_HOUSE}")
_YEAR = re.compile("(?:19|20)[0-9]{2}")
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
        if _is_told(match, text) or _is_certain(match):
            yield _address(match)
    for start, end in windows(_CITY_SIGN, text, 12, 120):
        for match in _WITHOUT_PREFECTURE.finditer(text, start, end):
            if _is_told(match, text) or _is_certain_without_prefecture(match):
                yield _address(match)
    for pattern in (_ENGLISH, _ROMANISED):
        for match in pattern.finditer(text):
            yield _address(match)


def _is_told(match: re.Match[str], text: str) -> bool:
    in_letters = match["bare"] is None or _TOWN_IN_LETTERS.fullmatch(match["town"])
    return bool(in_letters) and said_before(_TOLD, text, match.start(), _TOLD_REACH)


def _is_certain(match: re.Match[str]) -> bool:
    if match["city"] is None:
        return _CERTAIN_HOUSE.search(match["street"]) is not None
    if match["bare"] is None:
        return True
    in_words = _PLAIN_TOWN.fullmatch(match["town"]) or (not match["town"] and match["city"][-1] in "町村")
    return bool(in_words) and not _YEAR.fullmatch(match["bare"])


def _is_certain_without_prefecture(match: re.Match[str]) -> bool:
    if _CERTAIN_STREET.search(match["street"]):
        return True
    place = match[0][: match.start("street") - match.start()]
    return (match["bare"] is None or place.endswith("町")) and _IN_A_WARD.search(place) is not None


def _address(match: re.Match[str]) -> Finding:
    return Finding(Kind.ADDRESS, match.start(), match.start() + len(match[0].rstrip()))
