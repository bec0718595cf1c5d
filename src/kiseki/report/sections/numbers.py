"""How numbers, times and sizes are written, in one place, so that every rendering shows the same digits.

The digits are the same in both languages; only unit words differ.
"""

import math
from datetime import datetime, timedelta, timezone

from kiseki.report.sections.wording import Speaker
from kiseki.telling import counted

_JST = timezone(timedelta(hours=9))
_SIGNIFICANT = 5
_BINARY = ("KiB", "MiB", "GiB", "TiB", "PiB")


def integer(value: int) -> str:
    """A count.

    Example:
        >>> integer(1234567)
        '1,234,567'
    """
    return f"{value:,}"


def decimal(value: float, significant: int = _SIGNIFICANT) -> str:
    """A measured value, to five significant digits; whole numbers in full.

    Example:
        >>> decimal(6.0842858), decimal(1.0576247e-06), decimal(186848.0), decimal(525363541.33)
        ('6.0843', '1.0576e-6', '186,848', '525,363,541')
        >>> decimal(float("nan")), decimal(float("-inf")), decimal(5.0)
        ('NaN', '-∞', '5')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    magnitude = abs(value)
    if magnitude < 1e15 and (magnitude >= 10**significant or value == int(value)):
        return f"{value:,.0f}"
    mantissa, exponent_sign, exponent = f"{value:,.{significant}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent_sign else mantissa


def decimal_or(value: float | None, otherwise: str) -> str:
    """A measured value, or what stands where there is none."""
    return otherwise if value is None else decimal(value)


def apart(value: float, threshold: float) -> tuple[str, str]:
    """A value and the threshold it is held against, with so many digits that two that differ also look different.

    Example:
        >>> apart(4.9999999, 5.0), apart(6.0842858, 5.0)
        (('4.9999999', '5'), ('6.0843', '5'))
    """
    for significant in range(_SIGNIFICANT, 17):
        shown = decimal(value, significant), decimal(threshold, significant)
        if shown[0] != shown[1] or value == threshold:
            return shown
    return repr(value), repr(threshold)


def percent(part: float, whole: float) -> str:
    """A share.

    Example:
        >>> percent(59136, 1043328)
        '5.668%'
    """
    return f"{100 * part / whole:.4g}%"


def size(count: int, say: Speaker) -> str:
    """A number of bytes, readable and exact.

    Example:
        >>> from kiseki.report.sections.wording import speaker
        >>> size(534106112, speaker("en")), size(512, speaker("en"))
        ('509.4 MiB (534,106,112 bytes)', '512 bytes')
    """
    exact = say(ja=f"{integer(count)}バイト", en=counted(count, "byte", ","))
    if count < 1024:
        return exact
    power = min((count.bit_length() - 1) // 10, len(_BINARY))
    readable = f"{count / 1024**power:.4g} {_BINARY[power - 1]}"
    return say(ja=f"{readable}（{exact}）", en=f"{readable} ({exact})")


def duration(seconds: float, say: Speaker) -> str:
    """A stretch of time.

    Example:
        >>> from kiseki.report.sections.wording import speaker
        >>> duration(43.291, speaker("en")), duration(93784.2, speaker("ja"))
        ('43.29 s', '26時間3分4秒')
    """
    if not math.isfinite(seconds):
        return say.unknown
    if seconds < 59.995:  # from here on, four digits say 60
        return say(ja=f"{seconds:.4g}秒", en=f"{seconds:.4g} s")
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return say(ja=f"{integer(hours)}時間{minutes}分{rest}秒", en=f"{integer(hours)} h {minutes} min {rest} s")
    return say(ja=f"{minutes}分{rest}秒", en=f"{minutes} min {rest} s")


def moment(text: str) -> str:
    """A moment in UTC and in Japan Standard Time; what is no RFC 3339 time stays as it was recorded.

    Example:
        >>> moment("2026-11-24T18:44:12.229597Z")
        '2026-11-24 18:44:12 UTC / 2026-11-25 03:44:12 JST'
    """
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    if when.tzinfo is None:
        return text
    utc = when.astimezone(timezone.utc)  # noqa: UP017 - beside the other zone
    return f"{utc:%Y-%m-%d %H:%M:%S} UTC / {utc.astimezone(_JST):%Y-%m-%d %H:%M:%S} JST"
