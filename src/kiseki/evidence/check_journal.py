"""Checks a journal by itself: CRCs, sequence, seals, clocks, and that it has only grown since a checkpoint."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from kiseki.evidence.checkpoint import Checkpoint
from kiseki.evidence.findings import Finding, Said
from kiseki.evidence.journal_facts import JournalFacts
from kiseki.evidence.reports import prefix_digests
from kiseki.record.reader import Damage
from kiseki.telling import counted

_WHAT = {
    "the line is broken or its CRC is wrong": "行が壊れているか、CRCが一致しません",
    "the seal does not match what stands before it": "封印が、それより前の内容と一致しません",
    "the seal cannot be read": "封印が読み取れません",
}
_MOST_LISTED = 10


def check_journal(facts: JournalFacts, file: str) -> list[Finding]:
    """Every finding about one journal.

    Args:
        facts: of it.
        file: as it is named in the table.
    """
    return [*_lines(facts, file), *_sequence(facts, file), *_seals(facts, file), *_clocks(facts, file)]


def _damage(check: str, damage: Sequence[Damage], file: str) -> list[Finding]:
    listed = [
        Finding(
            check,
            "failed",
            Said(_WHAT.get(one.what, f"行番号が連続していません（{one.what}）"), one.what),
            file,
            one.line,
        )
        for one in damage[:_MOST_LISTED]
    ]
    if len(damage) > _MOST_LISTED:
        more = len(damage) - _MOST_LISTED
        listed.append(Finding(check, "failed", Said(f"ほか {more} 件", f"and {more} more"), file))
    return listed


def _lines(facts: JournalFacts, file: str) -> list[Finding]:
    damage = [one for one in facts.damage if "CRC" in one.what]
    found = _damage("lines", damage, file)
    found += [
        Finding(
            "lines", "failed", Said(f"行の内容が読み取れません（{why}）", f"the line cannot be read: {why}"), file, line
        )
        for line, why in facts.unreadable[:_MOST_LISTED]
    ]
    if not facts.opened:
        said = Said("記録の開始を示す行がありません", "there is no line that opens the record")
        found.append(Finding("lines", "failed", said, file, 1))
    if facts.tail_bytes:
        found.append(_tail(facts, file))
    if not found:
        said = Said(f"{facts.lines} 行すべて正常", f"all {counted(facts.lines, 'line')}")
        found.append(Finding("lines", "ok", said, file))
    return found


def _tail(facts: JournalFacts, file: str) -> Finding:
    count = facts.tail_bytes
    if facts.closed and facts.ends_sealed:
        said = Said(
            f"終了後の末尾に {count} バイト追加されています",
            f"{counted(count, 'byte')} behind the end of the closed record",
        )
        return Finding("lines", "failed", said, file, facts.lines + 1)
    said = Said(
        f"末尾に書きかけの {count} バイト（強制終了時に残るもの。記録には含まれません）",
        f"a half-written last line of {counted(count, 'byte')}, as a kill leaves it; it is no part of the record",
    )
    return Finding("lines", "remark", said, file, facts.lines + 1)


def _sequence(facts: JournalFacts, file: str) -> list[Finding]:
    attempts = [opened.get("attempt") for opened in facts.opened]
    found = _damage("sequence", [one for one in facts.damage if "sequence" in one.what], file)
    if attempts != list(range(1, len(attempts) + 1)):
        said = Said(f"試行の番号が連続していません：{attempts[:20]}", f"the attempts are numbered {attempts[:20]}")
        found.append(Finding("sequence", "failed", said, file))
    if len({str(opened.get("run_id")) for opened in facts.opened}) > 1:
        said = Said("試行ごとに run_id が異なります", "the attempts are of different runs")
        found.append(Finding("sequence", "failed", said, file))
    count = len(attempts)
    said = Said(
        f"0〜{facts.lines - 1} まで欠番なし、試行 {count} 回", f"0 to {facts.lines - 1} without gap, {count} attempt(s)"
    )
    return found or [Finding("sequence", "ok", said, file)]


def _seals(facts: JournalFacts, file: str) -> list[Finding]:
    if found := _damage("seals", [one for one in facts.damage if "seal" in one.what], file):
        return found
    if facts.seal_sha256 is None:
        return [Finding("seals", "remark", Said("封印がありません", "there is no seal"), file)]
    covered = f"head -c {facts.sealed_bytes} | sha256sum = {facts.seal_sha256}"
    if facts.ends_sealed:
        return [Finding("seals", "ok", Said(f"末尾まで封印済み（{covered}）", f"sealed to the end ({covered})"), file)]
    rest = facts.good_bytes - facts.sealed_bytes
    said = Said(
        f"最後の封印の後に {rest} バイト（封印の行を含む）（{covered}）",
        f"{rest} bytes stand behind what the last seal covers, its own line included ({covered})",
    )
    return [Finding("seals", "remark", said, file)]


def _clocks(facts: JournalFacts, file: str) -> list[Finding]:
    found = [
        Finding(
            "clocks",
            "failed",
            Said(f"経過時間が逆行しています（{what}）", f"elapsed time runs backwards: {what}"),
            file,
            line,
        )
        for line, what in facts.backwards
    ]
    if facts.set_back or facts.jumps:
        first = facts.set_back[0] if facts.set_back else 0
        said = Said(
            f"時刻が変更されています（記録された変更 {facts.jumps} 件）。順序は行番号と経過時間によります",
            f"the wall clock was set ({counted(facts.jumps, 'change')} noted); "
            f"the order rests on sequence and elapsed time",
        )
        found.append(Finding("clocks", "remark", said, file, first))
    return found or [Finding("clocks", "ok", Said("逆行なし", "never backwards"), file)]


def check_nonce(facts: JournalFacts, file: str) -> Iterator[Finding]:
    """The text that a partner gave before the run began, for the partner to recognise."""
    nonce = facts.opened[0].get("nonce")
    if nonce is not None:
        said = Said(
            f"「{nonce}」：お渡しになった値であれば、記録はそれより後に始められています",
            f"{nonce!r}: if you gave it, the record was begun no earlier than that",
        )
        yield Finding("nonce", "remark", said, file, 1)


def check_since(facts: JournalFacts, journal: Path, file: str, checkpoint: Checkpoint) -> Finding:
    """Whether a journal is the one a checkpoint was taken of, and has only grown since.

    Args:
        facts: of the journal.
        journal: its bytes.
        file: as it is named in the table.
        checkpoint: the line that left the machine earlier.
    """
    if checkpoint.run_id != facts.run_id:
        said = Said(
            f"別の学習の控えです（控え {checkpoint.run_id}、記録 {facts.run_id}）",
            f"the line is of run {checkpoint.run_id}, this is {facts.run_id}",
        )
        return Finding("since", "failed", said, file)
    if checkpoint.bytes > facts.good_bytes:
        said = Said(
            f"控えの時点の {checkpoint.bytes} バイトに対し、現在は {facts.good_bytes} バイトです（末尾の欠落）",
            f"it held {checkpoint.bytes} bytes then and holds {facts.good_bytes} now: the end is gone",
        )
        return Finding("since", "failed", said, file, facts.lines)
    last_line = facts.line_at(checkpoint.bytes) - 1
    if prefix_digests(journal, [checkpoint.bytes]).get(checkpoint.bytes) != checkpoint.sha256:
        said = Said(
            f"控えの後に、先頭 {checkpoint.bytes} バイト（1〜{last_line} 行目）のどこかが書き換えられています",
            f"the first {checkpoint.bytes} bytes, lines 1 to {last_line}, are not what they were: it was rewritten",
        )
        return Finding("since", "failed", said, file, last_line)
    grown = facts.good_bytes - checkpoint.bytes
    said = Said(
        f"先頭 {checkpoint.bytes} バイト（1〜{last_line} 行目）は控えから変更なし、その後の追記 {grown} バイト",
        f"the first {checkpoint.bytes} bytes, lines 1 to {last_line}, are what they were; {grown} bytes came since",
    )
    return Finding("since", "ok", said, file, last_line)
