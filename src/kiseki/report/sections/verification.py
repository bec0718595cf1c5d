"""Appendix C: how to check that nothing was altered, and what such a check cannot show."""

from kiseki.report.document import Block, Bullets, Code, Facts, Paragraph, Section, Table
from kiseki.report.dossier import Dossier
from kiseki.report.sections.given import visible
from kiseki.report.sections.numbers import integer
from kiseki.report.sections.standing import import_sentence
from kiseki.report.sections.wording import Speaker


def verification_appendix(dossier: Dossier, say: Speaker) -> Section:
    """Commands that need no trust in whoever made the report."""
    meaning = say(ja="この確認で分かること・分からないこと", en="What this shows and what it cannot")
    return Section(
        "verification",
        say(ja="改ざん検知の確認手順", en="How to check for tampering"),
        (),
        (
            Section("check_journal", say(ja="学習記録（ジャーナル）の確認", en="The journal"), _journal(dossier, say)),
            Section("check_run", say(ja="記録全体と署名の確認", en="The whole record and its signature"), _whole(say)),
            Section("check_files", say(ja="各ファイルのSHA-256", en="SHA-256 of the files"), _files(dossier, say)),
            Section("check_meaning", meaning, _meaning(dossier, say)),
        ),
    )


def _journal(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    journal = dossier.journal
    facts = Facts(
        (
            (say(ja="対象バイト数", en="Bytes"), integer(journal.bytes)),
            ("SHA-256", journal.sha256),
            (say(ja="封印済みバイト数", en="Sealed bytes"), integer(journal.sealed_bytes)),
            (say(ja="封印範囲のSHA-256", en="SHA-256 of what is sealed"), journal.sealed_sha256 or say.none),
        )
    )
    what = say(
        ja="実行フォルダーで次のコマンドを実行し、表示された値が下記のSHA-256と一致することを確認してください。"
        "学習が継続して記録が追記されていても、本書の根拠となった範囲の値は変わりません。",
        en="Run this in the run folder and compare what it prints with the SHA-256 below. A run that goes on appends "
        "to the journal, but the part that this report rests on stays the same.",
    )
    windows = say(
        ja="Windowsでは、PowerShellで次を実行します（macOSでは、上記の sha256sum を shasum -a 256 に置き換えます）。",
        en="On Windows, run this in PowerShell (on macOS, replace sha256sum above by shasum -a 256).",
    )
    in_powershell = (
        f"$bytes = [IO.File]::ReadAllBytes((Resolve-Path {journal.path}))\n"
        "$sha = [Security.Cryptography.SHA256]::Create()\n"
        f"[BitConverter]::ToString($sha.ComputeHash($bytes, 0, {journal.bytes})).Replace('-', '').ToLower()"
    )
    on_unix = f"head -c {journal.bytes} {journal.path} | sha256sum"
    return (Paragraph(what), Code(on_unix), facts, Paragraph(windows), Code(in_powershell))


def _whole(say: Speaker) -> tuple[Block, ...]:
    with_kiseki = say(
        ja="kiseki を利用できる場合は、ファイルの過不足・ダイジェスト・署名・封印を一度に確認できます"
        "(RUN は実行フォルダー、FILE.zip は署名付き提出パック、PUBLIC_KEY.pub は署名者の公開鍵、LINE は学習中に"
        "受け取った控えの行)。",
        en="With kiseki, file set, hashes, signature and seals are checked at once (RUN: the run folder; FILE.zip: a "
        "signed pack; PUBLIC_KEY.pub: the signer's public key; LINE: a line received while training went on).",
    )
    without = say(
        ja="kiseki を利用しない場合は、提出パックを空のフォルダーに展開し、同梱の VERIFY.md の手順に従うことで、"
        "OpenSSL と sha256sum のみで署名とダイジェストを確認できます。署名の確認には次のコマンドを用います。公開鍵 "
        "signer.pub は、提出パックとは別の経路で受け取った値と必ず照合してください。",
        en="Without kiseki, unpack the signed pack into an empty folder and follow the VERIFY.md inside it: OpenSSL "
        "and sha256sum alone check signature and hashes. The signature is checked by these commands. Always compare "
        "the public key signer.pub with what reached you by another way than the pack.",
    )
    return (
        Paragraph(with_kiseki),
        Code('kiseki verify RUN --since "LINE"\nkiseki verify FILE.zip --key PUBLIC_KEY.pub'),
        Paragraph(without),
        Code(
            "openssl pkey -pubin -in signer.pub -outform DER | sha256sum\n"
            "openssl pkeyutl -verify -rawin -pubin -inkey signer.pub -in statement.pae -sigfile statement.sig"
        ),
    )


def _files(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    rows = _file_rows(dossier, say)
    if not rows:
        nothing = say(
            ja="本書の作成時点で、実行フォルダーに対象のファイルはありません。",
            en="None of the files stood in the run folder when the facts were gathered.",
        )
        return (Paragraph(nothing),)
    table = Table(
        head=(
            say(ja="ファイル", en="File"),
            say(ja="バイト数", en="Bytes"),
            "SHA-256",
            say(ja="記録時との照合", en="Against the record"),
        ),
        rows=rows,
        numeric=frozenset({1}),
        caption=say(ja="本書の作成時点のファイル", en="Files as they stood when the facts were gathered"),
    )
    return (table,)


def _file_rows(dossier: Dossier, say: Speaker) -> tuple[tuple[str, ...], ...]:
    states = {
        "unchanged": say(ja="変更なし", en="unchanged"),
        "changed": say(ja="記録後に変更", en="changed since"),
        "withheld": say(ja="ファイルなし（提出対象外）", en="withheld"),
        "not recorded": say(ja="記録時の値なし", en="no digest recorded"),
    }
    state_of = {side_file.path: states.get(side_file.state, side_file.state) for side_file in dossier.side_files}
    rebuilt = say(ja="記録から再生成可能", en="rebuilt from the record")
    present = {fact.path for fact in dossier.files}
    return (
        *(
            (visible(one.path), integer(one.bytes), one.sha256, state_of.get(one.path, rebuilt))
            for one in dossier.files
        ),
        *(
            (visible(side.path), "—", side.recorded_sha256 or "—", state_of[side.path])
            for side in dossier.side_files
            if side.path not in present
        ),
    )


def _meaning(dossier: Dossier, say: Speaker) -> tuple[Block, ...]:
    shows = say(
        ja="分かること：本書の作成後（または封印の値を第三者に渡した後）に、その範囲の記録が書き換えられていないこと。"
        "署名がある場合は、その鍵の所有者が署名したこと。",
        en="It shows that the record was not altered after this report was made, or after a seal was handed to someone "
        "else; and, where there is a signature, that the holder of that key signed it.",
    )
    rewritten = say(
        ja="分からないこと：記録が外部に渡る前に、学習の実施者が履歴全体を作り直していないか。",
        en="It cannot show whether the trainer rewrote all history before anything left the machine.",
    )
    false_then = say(
        ja="分からないこと：記録された時点の数値が正しかったか（誤った値や虚偽の値も、そのまま封印されます）。",
        en="It cannot show whether the numbers were true when they were logged: false ones are sealed just as well.",
    )
    clock = say(
        ja="分からないこと：記録された日時が正しいか（学習に用いた計算機の時計によります）。",
        en="It cannot show whether the times are right: they come from the clock of the machine that trained.",
    )
    imported = import_sentence(dossier, say)
    return (Bullets(tuple(point for point in (shows, rewritten, false_then, clock, imported) if point)),)
