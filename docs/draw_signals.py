"""Draw the pictures of docs/signals.md and compute its numbers: python docs/draw_signals.py [FOLDER]."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from modelplane_datasource.drift.formulas import (
    js_distance,
    ks,
    mean_shift,
    mean_shift_z,
    psi,
    psi_noise,
    variance_ratio,
)
from modelplane_exporter.baseline import Baseline, NumericSignal

Floats = npt.NDArray[np.float64]

TRAINING, LIVE = NormalDist(40, 12), NormalDist(44, 14)
TRAINING_ROWS, LIVE_ROWS = 20_000, 2_000

SIZES = (100, 300, 1_000, 10_000)
CURVE = tuple(round(50 * 200 ** (step / 24)) for step in range(25))
ROUNDS = 20_000
THRESHOLD = 0.1

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 56, 66
BLUE, ORANGE, RED, GREY, TEXT = "#3b6fb5", "#c8642b", "#b3261e", "#888", "#222"


@dataclass(frozen=True, slots=True)
class Example:
    """One signal in training and live; ``counts`` and ``ratios`` are by bin, without the missing one."""

    edges: Sequence[float]
    ratios: Floats
    counts: Floats
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Noise:
    """Windows of ``n`` observations without any drift: their psi and how often it is above the threshold."""

    n: int
    floor: float
    mean: float
    high: float
    above: float
    above_floor: float


def spread(distribution: NormalDist, rows: int) -> Floats:
    """Values at evenly spaced quantiles: a sample without chance."""
    return np.array([distribution.inv_cdf((row + 0.5) / rows) for row in range(rows)])


def example() -> Example:
    """Ages in training, and older, more various ones live."""
    training, live = spread(TRAINING, TRAINING_ROWS), spread(LIVE, LIVE_ROWS)
    (signal,) = Baseline.fit("shop", {"age": training}).signals
    if not isinstance(signal, NumericSignal):
        raise TypeError("ages must be numeric")
    ratios = np.array(signal.ratios[:-1])
    counts = np.bincount(np.searchsorted(signal.edges, live, "right"), minlength=len(ratios)).astype(float)
    u = (live - signal.mean) / signal.stddev
    sums = float(u[u > 0].sum()), float(-u[u < 0].sum())
    shift = mean_shift(*sums, LIVE_ROWS)
    bits = js_distance(counts, ratios) ** 2
    values: dict[str, Floats | float] = {
        "psi": psi(counts, ratios, TRAINING_ROWS),
        "psi_noise": psi_noise(counts, ratios, TRAINING_ROWS),
        "js_distance": js_distance(counts, ratios),
        "ks": ks(counts, ratios),
        "mean_shift": shift,
        "mean_shift_z": mean_shift_z(shift, LIVE_ROWS, TRAINING_ROWS),
        "variance_ratio": variance_ratio(float((u * u).sum()), shift, LIVE_ROWS),
        "js_distance, natural logarithm": math.sqrt(bits * math.log(2)),
        "js divergence, bits": bits,
        "psi, 10 bins of equal width": equal_width_psi(training, live),
    }
    return Example(signal.edges, ratios, counts, {name: float(value) for name, value in values.items()})


def equal_width_psi(training: Floats, live: Floats) -> float:
    """What a tool shows that cuts the range of the training data into 10 equal parts."""
    edges = np.linspace(training.min(), training.max(), 11)[1:-1]
    live_counts, counts = (
        np.bincount(np.searchsorted(edges, rows), minlength=10) for rows in (live, training)
    )
    return float(psi(live_counts, counts / len(training), len(training)))


def noise(n: int) -> Noise:
    """Many windows of ``n`` observations from the training distribution itself, in ten equal bins."""
    # RandomState's streams never change, so the pictures do not change with NumPy.
    random = np.random.RandomState(n)
    shares = np.full(10, 0.1)
    training = random.multinomial(TRAINING_ROWS, shares, ROUNDS) / TRAINING_ROWS
    counts = random.multinomial(n, shares, ROUNDS)
    values, floor = (
        psi(counts, training, TRAINING_ROWS),
        float(psi_noise(counts[0], training[0], TRAINING_ROWS)),
    )
    return Noise(
        n,
        floor,
        float(values.mean()),
        float(np.quantile(values, 0.99)),
        float((values > THRESHOLD).mean()),
        float((values - floor > THRESHOLD).mean()),
    )


def numbers() -> list[str]:
    """Every row of the tables of the page."""
    rows = [f"| {name} | {value:.3f} |" for name, value in example().values.items()]
    for size in map(noise, SIZES):
        shares = f"{size.above:.2%} | {size.above_floor:.2%}"
        rows.append(f"| {size.n} | {size.floor:.3f} | {size.mean:.3f} | {size.high:.3f} | {shares} |")
    return rows


def pictures() -> dict[str, str]:
    """File name to SVG text."""
    return {"signals-psi.svg": bars(example()), "signals-noise.svg": curves([noise(n) for n in CURVE])}


def bars(data: Example) -> str:
    """Shares by bin, baseline beside live."""
    live = data.counts / data.counts.sum()
    top = math.ceil(live.max() * 20) / 20
    step = (WIDTH - LEFT - RIGHT) / len(live)
    shapes = [*axis([share / 100 for share in range(0, round(top * 100) + 1, 5)], top, "{:.0%}")]
    for index, pair in enumerate(zip(data.ratios, live, strict=True)):
        for side, (share, colour) in enumerate(zip(pair, (BLUE, ORANGE), strict=True)):
            x, y = LEFT + step * (index + 0.12 + 0.38 * side), height(share, top)
            shapes.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{step * 0.36:.1f}" '
                f'height="{HEIGHT - BOTTOM - y:.1f}" fill="{colour}"/>'
            )
        shapes.append(label(LEFT + step * (index + 0.5), HEIGHT - BOTTOM + 18, f"{index:02d}"))
    for index, edge in enumerate(data.edges):
        shapes.append(label(LEFT + step * (index + 1), HEIGHT - BOTTOM + 35, f"{edge:.0f}", GREY))
    shapes.append(label(WIDTH / 2, HEIGHT - 8, "bin, and the ages at its edges", GREY))
    names = ("psi", "js_distance", "ks", "mean_shift")
    values = ", ".join(f"{name} {data.values[name]:.2f}" for name in names)
    legend = [("training", BLUE), (f"live: {values}", ORANGE)]
    return picture(
        "Share of each bin: training holds a tenth in each, live a fifth in the last.", shapes, legend
    )


def curves(sizes: Sequence[Noise]) -> str:
    """psi without drift by n, its noise floor and the threshold."""
    top = 0.3

    def line(values: Iterable[float], colour: str, dashes: str = "none") -> str:
        points = " ".join(
            f"{along(size.n):.1f},{height(value, top):.1f}"
            for size, value in zip(sizes, values, strict=True)
            if value <= top
        )
        return (
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.4" '
            f'stroke-dasharray="{dashes}"/>'
        )

    shapes = [
        *axis([0, 0.1, 0.2, 0.3], top, "{:.1f}"),
        line((size.high for size in sizes), BLUE, "3 4"),
        line((size.floor for size in sizes), ORANGE),
        *(dot(along(size.n), height(size.mean, top)) for size in sizes),
        line([THRESHOLD] * len(sizes), RED, "9 5"),
    ]
    shapes += [label(along(n), HEIGHT - BOTTOM + 18, f"{n:,}") for n in (50, 100, 300, 1_000, 3_000, 10_000)]
    shapes.append(label(WIDTH / 2, HEIGHT - 14, "n, observations in the window (logarithmic)", GREY))
    legend = [
        ("mean psi (dots), 99 of 100 windows (dotted line)", BLUE),
        ("psi_noise", ORANGE),
        ("threshold 0.1", RED),
    ]
    return picture("psi without any drift falls with n; psi_noise follows its mean.", shapes, legend)


def along(n: float) -> float:
    """x of a number of observations, on a logarithmic axis over ``CURVE``."""
    share = math.log(n / CURVE[0]) / math.log(CURVE[-1] / CURVE[0])
    return LEFT + 10 + share * (WIDTH - LEFT - RIGHT - 30)


def height(value: float, top: float) -> float:
    """y of a value on an axis from 0 to ``top``."""
    return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)


def axis(ticks: Iterable[float], top: float, form: str) -> Iterable[str]:
    """Lines and numbers of the vertical axis."""
    for tick in ticks:
        y = height(tick, top)
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
        yield label(LEFT - 8, y + 5, form.format(tick), GREY, "end")


def label(x: float, y: float, text: str, colour: str = TEXT, anchor: str = "middle") -> str:
    """A text at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{text}</text>'


def dot(x: float, y: float) -> str:
    """A point of a measurement."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" fill="{BLUE}"/>'


def picture(title: str, shapes: Iterable[str], legend: Sequence[tuple[str, str]]) -> str:
    """The whole SVG, with a legend in its first line."""
    x, head = LEFT, []
    for text, colour in legend:
        head.append(f'<rect x="{x:.1f}" y="16" width="14" height="14" fill="{colour}"/>')
        head.append(label(x + 20, 28, text, TEXT, "start"))
        x += 40 + round(7.2 * len(text))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'font-family="system-ui, sans-serif" font-size="14" role="img" aria-label="{title}">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            *head,
            *shapes,
            "</svg>\n",
        ]
    )


def main() -> None:
    """Write the pictures and print the rows of the tables."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, text in pictures().items():
        (folder / name).write_text(text, encoding="utf-8")
    sys.stdout.write("\n".join(numbers()) + "\n")


if __name__ == "__main__":
    main()
