"""What a check found, in both languages, and the one answer that follows from all of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from kiseki.telling import counted

State = Literal["ok", "failed", "remark", "not checked"]
Signer = Literal["none", "named", "other"]

CHECKS = {
    "container": ("ファイル形式", "file format"),
    "signature": ("電子署名", "signature"),
    "statement": ("署名対象の記載", "statement"),
    "file set": ("ファイル構成（過不足）", "file set"),
    "hashes": ("ダイジェスト", "hashes"),
    "lines": ("行のCRC", "CRC of lines"),
    "sequence": ("行番号の連続", "sequence"),
    "seals": ("封印", "seals"),
    "clocks": ("時計", "clocks"),
    "rebuild": ("記録からの再生成", "rebuild"),
    "reports": ("報告書", "reports"),
    "side files": ("設定・環境", "config, environment"),
    "weights": ("重みファイル", "weights"),
    "nonce": ("相手方のnonce", "partner's nonce"),
    "since": ("過去の控えとの照合", "since"),
    "time stamp": ("タイムスタンプ", "time stamp"),
}
"""Every check, in the order of the table: its name in Japanese and in English."""

STATES = {
    "ok": ("合格", "ok"),
    "failed": ("不合格", "FAILED"),
    "remark": ("注記", "note"),
    "not checked": ("対象外", "not checked"),
}


class Said(NamedTuple):
    """A sentence in both languages."""

    ja: str
    en: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table.

    Attributes:
        check: a key of `CHECKS`.
        state: what came of it; only `failed` makes the answer no.
        said: in words.
        file: the file it is about, empty for all.
        line: the line in that file, from 1; 0 where none can be named.
    """

    check: str
    state: State
    said: Said
    file: str = ""
    line: int = 0


@dataclass(frozen=True)
class Answer:
    """The outcome of checking a pack or a run folder.

    Attributes:
        findings: in the order of `CHECKS`.
        signer: nobody, the key that was named, or another one.
        key_named: whether the reader named a key.
        key_id: the signer's, empty without a signature that is right.
        language: the run's own.
    """

    findings: tuple[Finding, ...]
    signer: Signer
    key_named: bool
    key_id: str
    language: str

    @property
    def intact(self) -> bool:
        """Whether nothing failed."""
        return all(finding.state != "failed" for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """0 intact, and signed by the named key or neither signed nor a key named; 1 no; 3 signed by another key."""
        if not self.intact or (self.key_named and self.signer == "none"):
            return 1
        return 3 if self.signer == "other" else 0

    @property
    def headline(self) -> Said:
        """Yes or no, and what exactly that means."""
        if not self.intact:
            failed = sum(finding.state == "failed" for finding in self.findings)
            return Said(
                f"いいえ：記録は完全ではありません（不合格 {failed} 件）。",
                f"No: not intact ({counted(failed, 'check')} failed).",
            )
        if self.key_named and self.signer == "none":
            return Said(
                "いいえ：改変は見つかりませんでしたが、署名がありません。",
                "No: intact, but there is no signature, and you named a key.",
            )
        if self.signer == "other":
            return Said(
                f"いいえ（署名者未確認）：改変はありませんが、指定外の鍵による署名です（鍵ID {self.key_id}）。",
                f"No (signer not confirmed): intact, signed by a key you have not named (key id {self.key_id}).",
            )
        if self.signer == "named":
            return Said(
                "はい：改変は見つからず、指定された鍵で署名されています。",
                "Yes: intact, and signed by the key you named.",
            )
        return Said("はい：改変は見つかりませんでした（署名なし）。", "Yes: intact (nobody has signed it).")


def in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings as the table shows them: by check, and as they were found within one."""
    order = list(CHECKS)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.check)))
