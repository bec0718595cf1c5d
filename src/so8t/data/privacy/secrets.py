"""Keys, tokens and passwords: by the shape their issuer gives them, or by what they are called."""

from __future__ import annotations

import re
from collections.abc import Iterator

from so8t.data.privacy.digits import windows
from so8t.data.privacy.kinds import Finding, Kind

_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.{0,20000}?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?:"
    r"hf_[A-Za-z0-9]{20,}"
    r"|api_org_[A-Za-z0-9]{20,}"
    r"|(?:sk|pk|rk)[-_](?:(?:live|test|proj|ant|or)[-_])?[A-Za-z0-9_-]{20,}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}"
    r"|github_pat_[A-Za-z0-9_]{20,}"
    r"|glpat-[A-Za-z0-9_-]{20,}"
    r"|npm_[A-Za-z0-9]{30,}"
    r"|pypi-[A-Za-z0-9_-]{40,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|AIza[0-9A-Za-z_-]{35}"
    r"|ya29\.[0-9A-Za-z_-]{20,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}"
    r"|eyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{0,2000}"
    r")",
    re.DOTALL,
)
_CONTINUES = re.compile("[A-Za-z0-9_]")
_BEARER = re.compile(r"\b(?:Bearer|Basic)[ ]+(?P<value>[A-Za-z0-9+/_.=~-]{16,})", re.IGNORECASE)
_URL_USER = re.compile(r"[a-z][a-z0-9+.-]{1,20}://(?P<value>[^\s/@:]{1,100}:[^\s/@]{1,200})@", re.IGNORECASE)
_URL_QUERY = re.compile(
    r"[?&](?:access_?token|token|api_?key|apikey|key|sig(?:nature)?|secret|password|passwd|session(?:id)?|auth|code)="
    r"(?P<value>[^\s&#\"'<>()\[\]。、]{6,})",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(
    r"(?<![A-Za-z])(?:password|passwd|pwd|passphrase|パスワード|暗証番号|秘密鍵|シークレット"
    r"|(?:[a-z0-9]{1,20}[_-]){0,3}(?:api|secret|access|private|client|auth|account)[_ -]?"
    r"(?:key|token|secret|password)s?"
    r"|(?:client_)?secret|apiキー|アクセスキー)"
    r"[\"'」]?[ ]{0,2}(?:[:=]|は|is(?=[ :]))[ ]{0,2}[\"'「]?(?P<value>[!#-&*+./0-9:=?-Z\\^-z|~-]{4,200})",
    re.IGNORECASE,
)
_CALLED = re.compile(
    r"pass(?:word|wd|phrase)|pwd|パスワード|暗証番号|秘密鍵|シークレット|secret|アクセスキー"
    r"|(?:api|access|private|client|auth|account)[_ -]?(?:key|token|キー)",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"\*+|x{3,}|\.{3}|none|null|true|false|your[_-].*|changeme|\$.*|%.*|os\.environ.*", re.IGNORECASE
)

# "password: required" is prose, and so is `password=self.password`
_NOT_PROSE = re.compile(r"[0-9!#$%^&*?~+/=-]|^(?=.*[a-z]).+[A-Z]")


def find(text: str) -> Iterator[Finding]:
    """Find them in folded text."""
    for match in _SHAPES.finditer(text):
        if match.start() and _CONTINUES.match(text, match.start() - 1):
            continue
        yield Finding(Kind.SECRET, *match.span())
    for pattern in (_BEARER, _URL_USER, _URL_QUERY):
        for match in pattern.finditer(text):
            if not _PLACEHOLDER.fullmatch(match["value"]):
                yield Finding(Kind.SECRET, *match.span("value"))
    for start, end in windows(_CALLED, text, 70, 230):
        for match in _ASSIGNED.finditer(text, start, end):
            if not _PLACEHOLDER.fullmatch(match["value"]) and _NOT_PROSE.search(match["value"]):
                yield Finding(Kind.SECRET, *match.span("value"))
