"""Numbers, times and names as people read them."""

from __future__ import annotations

import html
import math
from datetime import UTC, datetime


def escaped(text: object) -> str:
    """Give text as HTML shows it; names and cells of tables may hold anything.

    >>> escaped('<b> & "c"')
    '&lt;b&gt; &amp; &quot;c&quot;'
    """
    return html.escape(str(text), quote=True)


def whole(n: float) -> str:
    """Write a whole number.

    >>> whole(1234567)
    '1,234,567'
    """
    return f"{n:,.0f}"


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with a few significant digits, never in powers of ten where people do not expect them.

    >>> number(1234.5), number(0.04567), number(12.0), number(None), number(3e-7), number(99999.0)
    ('1,235', '0.0457', '12', '–', '3e-07', '99,999')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) >= 10 ** (digits - 1):
        return f"{math.copysign(math.floor(abs(value) + 0.5), value):,.0f}"
    if 0 < abs(value) < 1e-4:
        return f"{value:.{digits}g}"
    places = digits - 1 - (math.floor(math.log10(abs(value))) if value else 0)
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(seconds: float | None) -> str:
    """Write a time span.

    >>> duration(4.26), duration(75), duration(7260), duration(200000)
    ('4.3 s', '1 min 15 s', '2 h 01 min', '2 d 7 h')
    """
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


def moment(seconds: float | None) -> str:
    """Write a time since 1970 in UTC.

    >>> moment(0.5), moment(1764070000)
    ('–', '2025-11-25 11:26 UTC')
    """
    if not seconds or seconds < 1:
        return "–"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def several(n: int, one: str, more: str = "") -> str:
    """Write how many of something.

    >>> several(1, "tomogram"), several(3, "class", "classes")
    ('1 tomogram', '3 classes')
    """
    return f"{whole(n)} {one if n == 1 else more or one + 's'}"
