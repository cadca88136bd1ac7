"""Numbers by day in; the coordinates of a chart out, in percent of its box.

Labels are no part of the drawing: it stretches with the page, and they must not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Chart:
    """Days and their values; `line` and `area` are SVG paths, `bars` have x, y, width and height.

    `top` is the value at the upper edge: a round number that
    holds all values, and half of it is whole.
    """

    days: Sequence[date]
    values: Sequence[int]
    top: int
    line: str
    area: str
    bars: Sequence[tuple[float, float, float, float]]


def chart(days: Sequence[date], values: Sequence[int]) -> Chart | None:
    """A chart from zero up; None where one day says no more than its number."""
    if len(days) < 2:
        return None
    top = _round_up(max(*values, 1))
    span = (days[-1] - days[0]).days
    points = [
        (round((day - days[0]).days / span * 100, 2), round(100 - value / top * 100, 2))
        for day, value in zip(days, values, strict=True)
    ]
    line = "M" + "L".join(f"{x} {y}" for x, y in points)
    step = 100 / len(days)
    bars = [
        (round((place + 0.12) * step, 2), y, round(step * 0.76, 2), round(100 - y, 2))
        for place, (_, y) in enumerate(points)
    ]
    return Chart(days, values, top, line, f"{line}L100 100L0 100Z", bars)


def _round_up(value: int) -> int:
    power = int(10 ** math.floor(math.log10(value)))
    return next(factor * power for factor in (2, 4, 6, 8, 10) if factor * power >= value)
