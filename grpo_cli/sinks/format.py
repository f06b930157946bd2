"""Numbers as people read them at a glance."""

import math


def count(n: float) -> str:
    """A count in at most four characters and a unit.

    >>> [count(n) for n in (7, 9_999, 48_000, 1_000_000, 2_450_000)]
    ['7', '9,999', '48k', '1M', '2.45M']
    """
    if n >= 999_500:
        return f"{n / 1e6:.3g}M" if n < 999.5e6 else f"{n / 1e9:.3g}G"
    return f"{n / 1e3:.0f}k" if n >= 10_000 else f"{n:,.0f}"


def number(x: float | None) -> str:
    """A measured value with three or four significant digits; `-` where there is none.

    >>> [number(x) for x in (None, 0, 475, 12.345, -0.0312, 0.0000031, 1_234_567)]
    ['-', '0', '475.0', '12.3', '-0.031', '3.1e-06', '1.23e+06']
    """
    if x is None or not math.isfinite(x):
        return "-"
    size = abs(x)
    if size == 0:
        return "0"
    if size >= 100_000 or size < 0.001:
        return f"{x:.2e}" if size >= 100_000 else f"{x:.1e}"
    if size >= 1_000:
        return f"{x:,.0f}"
    return f"{x:.1f}" if size >= 10 else f"{x:.2f}" if size >= 1 else f"{x:.3f}"


def percent(fraction: float | None) -> str:
    """A fraction as a percentage.

    >>> [percent(x) for x in (None, 0.0, 0.004, 0.634, 1.0)]
    ['-', '0 %', '0.4 %', '63 %', '100 %']
    """
    if fraction is None or not math.isfinite(fraction):
        return "-"
    value = 100 * fraction
    return f"{value:.1f} %" if 0 < value < 0.95 else f"{value:.0f} %"


def duration(seconds: float) -> str:
    """Seconds as a clock shows them.

    >>> [duration(s) for s in (7, 75, 3_661, 200_000)]
    ['0:07', '1:15', '1:01:01', '2 d 7 h']
    """
    whole = round(seconds)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
