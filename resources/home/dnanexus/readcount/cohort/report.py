"""The HTML report of a cohort: a self-contained page.

Style and table are the same as in the report of a single file.

Charts are drawn as SVG here and in the template, so that they work without the page's script, can
be printed, follow the light or dark setting, and are accessible to screen readers. No charting
library does all of this: those that draw on a canvas (uPlot, Chart.js) provide no text for screen
readers; those that draw SVG (Observable Plot, Vega-Lite, ECharts, Plotly) need a script, add 0.5 to
1.2 MB to each page, and do not handle focus and arrow keys.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from readcount.cohort.robust import median
from readcount.cohort.samples_table import SampleRow
from readcount.cohort.statistics import FORMAT, Statistics
from readcount.columns import Floats
from readcount.outputs.report import render_page, round_numbers, short
from readcount.text import plural, shorten

# With more samples, charts are drawn without names; also the number of rows per part of the table.
MAX_WITH_NAMES = 1000
MAX_ROWS_OF_PART = 1000
# Maximum numbers of items that are listed individually.
MAX_FAILED = 200
MAX_DIFFERING = 200
MAX_PROFILES = 12
MAX_BARS = 50
MAX_LABELS = 12
# Maximum length of names and messages shown.
MAX_NAME_LENGTH = 200
MAX_MESSAGE_LENGTH = 1000
SHORT_LABEL_LENGTH = 28
# Shown in the table for unknown values.
UNKNOWN = "\N{EN DASH}"
# Size of scatter plots, histogram and profiles in pixels, and margins for the axes.
WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 12, 44
MAX_PARTS_OF_PROFILE = 800
PROFILE_HEIGHT = 140
# Maximum of the profile's axis, relative to the usual share.
TOP_OF_PROFILE = 2.0
HISTOGRAM_BARS = 30
# Thresholds (log2) of the colours of the heat map.
LEVELS = (0.05, 0.1, 0.2, 0.4, 0.8)


@dataclass(frozen=True)
class Dot:
    """A sample in a scatter plot.

    Attributes:
        x: in pixels.
        y: in pixels.
        title: name and values, shown as a tooltip.
        name: name, for the search.
        differs: whether the sample differs from the cohort.
    """

    x: float
    y: float
    title: str
    name: str
    differs: bool


@dataclass(frozen=True)
class Label:
    """The name of a sample next to its dot, or of a reference point in the plot."""

    x: float
    y: float
    text: str
    anchor: str = "start"


@dataclass(frozen=True)
class Scatter:
    """A scatter plot.

    Attributes:
        title: title for screen readers.
        x_name: label of the x axis.
        y_name: label of the y axis.
        x_ticks: pixels and text.
        y_ticks: pixels and text.
        places: reference points: XX, XY, ...
        dots: samples with names; those that differ come last.
        path: the other samples, if there are too many for names.
        labels: names of some samples that differ.
    """

    title: str
    x_name: str
    y_name: str
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    places: Sequence[Label]
    dots: Sequence[Dot]
    path: str
    labels: Sequence[Label]


@dataclass(frozen=True)
class Histogram:
    """Histogram of the number of records per sample.

    Attributes:
        bars: x, y, width and height in pixels, and text.
        x_ticks: pixels and text.
        y_ticks: pixels and text.
        is_log: whether the axis of records is logarithmic.
    """

    bars: Sequence[tuple[float, float, float, float, str]]
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    is_log: bool


@dataclass(frozen=True)
class HeatMap:
    """Heat map of samples by chromosomes.

    Attributes:
        chromosomes: names of the columns.
        samples: number of rows.
        names: names of the rows; empty if there are too many.
        labelled: whether the names are shown next to the rows.
        levels: CSS class and SVG path of all cells of a colour; a cell is 10 by 10 units.
        row_height: height of a row in pixels.
        values: values of the cells by row as JSON, in hundredths; null if unknown.
    """

    chromosomes: Sequence[str]
    samples: int
    names: Sequence[str]
    labelled: bool
    levels: Sequence[tuple[str, str]]
    row_height: float
    values: str


@dataclass(frozen=True)
class Profile:
    """The profile of a sample over the genome."""

    name: str
    why: str
    line: str


@dataclass(frozen=True)
class Profiles:
    """Profiles of samples that differ, with the band of the cohort.

    Attributes:
        band: range of the central 90% of the samples.
        edges: positions of chromosome boundaries and names; narrow chromosomes have no name.
        ticks: pixels and text.
        drawn: profiles of the samples.
    """

    band: str
    edges: Sequence[tuple[float, float, str]]
    ticks: Sequence[tuple[float, str]]
    drawn: Sequence[Profile]


def format_cohort_report(
    rows: Sequence[SampleRow],
    statistics: Statistics,
    name: str,
    records_counted: str = "all records",
    regions_counted: str = "all reference sequences",
) -> str:
    """Returns the page as HTML; byte-identical for the same counts.

    Args:
        rows: all rows of the table of samples.
        statistics: statistics of the counted samples, in the order of the rows.
        name: base name of the other output files.
        records_counted: description of the records counted.
        regions_counted: description of the regions counted.
    """
    counted = [row for row in rows if row.counted]
    failed = [row for row in rows if not row.counted]
    if len(counted) != len(statistics.differs):
        raise ValueError(f"{len(counted)} samples, but statistics of {len(statistics.differs)}")
    names = [shorten(row.sample, MAX_NAME_LENGTH) for row in counted]
    differing = [at for at, columns in enumerate(statistics.differs) if columns]
    records = [row.records or 0 for row in counted]
    return render_page(
        Path(__file__).with_name("cohort_report.html"),
        title=f"{name}: cohort of {plural(len(rows), 'sample')}",
        kind="Records by region of a cohort",
        heading=name,
        name=name,
        records_counted=shorten(records_counted, MAX_NAME_LENGTH),
        regions_counted=shorten(regions_counted, MAX_NAME_LENGTH),
        statistics=statistics,
        samples=len(rows),
        counted=len(counted),
        failed=[
            (shorten(row.sample, MAX_NAME_LENGTH), shorten(row.message, MAX_MESSAGE_LENGTH))
            for row in failed[:MAX_FAILED]
        ],
        failed_number=len(failed),
        differing=[(names[at], reasons_of(statistics, at)) for at in differing[:MAX_DIFFERING]],
        differing_number=len(differing),
        total=sum(records),
        bars=bars_of(names, records) if len(counted) <= MAX_BARS else [],
        histogram=histogram_of(records) if len(counted) > MAX_BARS else None,
        sexes=scatter_of_copies(statistics, names),
        components=scatter_of_components(statistics, names),
        heat_maps=heat_maps_of(statistics, names),
        profiles=profiles_of(statistics, names),
        headings=headings_of(statistics),
        parts=list(parts_of(statistics, counted, names)),
        part_size=MAX_ROWS_OF_PART,
        with_names=len(counted) <= MAX_WITH_NAMES,
        width=WIDTH,
        height=HEIGHT,
        profile_height=PROFILE_HEIGHT,
        frame=(LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM),
    )


NAMES = {
    "records_per_mb": "Records per Mb",
    "copies_x": "Copies of X",
    "copies_y": "Copies of Y",
    "sex_chromosomes": "Sex chromosomes",
    "mt_per_autosome": "MT per autosome",
    "largest_shift": "Largest shift",
    "spread": "Spread",
    "differs": "Differs in",
} | {f"pc{number}": f"PC{number}" for number in range(1, 6)}


def reasons_of(statistics: Statistics, sample: int) -> list[str]:
    """Returns the values by which a sample differs, as phrases with the usual values."""
    return [_reason(statistics, sample, column) for column in statistics.differs[sample]]


def _reason(statistics: Statistics, sample: int, column: str) -> str:
    if column == "largest_shift" and (shift := statistics.shift_of(sample)):
        contig, by = shift
        return f"{contig}: {2**by:.2f} times the usual share (log2 {by:+.2f})"
    value = float(statistics.values[column][sample])
    usual = float(statistics.usual[column][sample])
    if column in ("copies_x", "copies_y"):
        calls = statistics.sex_chromosomes[sample]
        call = f"; sex chromosomes: {calls}" if calls else ""
        return f"{NAMES[column]}: {value:.2f}, usual {usual:.2f}{call}"
    if column == "spread":
        return f"Spread of the shares: {value:.3g}, usual {usual:.3g}"
    if column.startswith("pc"):
        return f"{NAMES[column]}: {value:.2f}, usual {usual:.2f}"
    return f"{NAMES[column]}: {number_text(value)}, usual {number_text(usual)}"


def number_text(value: float) -> str:
    """Returns a number with four significant digits, or all digits before the decimal point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def bars_of(names: Sequence[str], records: Sequence[int]) -> list[tuple[str, int, float]]:
    """Returns name, records and length in percent of each sample's bar."""
    longest = max(records, default=0) or 1
    return [
        (name, number, round(100 * number / longest, 2))
        for name, number in zip(names, records, strict=True)
    ]


def histogram_of(records: Sequence[int]) -> Histogram:
    """Returns the histogram of records per sample, logarithmic if they differ widely."""
    values = np.array(records, np.float64)
    is_log = bool(values.min() > 0 and values.max() > 20 * values.min())
    scaled = np.log10(values) if is_log else values
    low, high = (float(scaled.min()), float(scaled.max())) if is_log else (0.0, float(scaled.max()))
    high = high if high > low else low + 1
    numbers, edges = np.histogram(scaled, HISTOGRAM_BARS, (low, high))
    to_x = _axis(low, high, LEFT, WIDTH - RIGHT)
    most = int(numbers.max())
    to_y = _axis(0, most, HEIGHT - BOTTOM, TOP)
    bars = []
    for number, first, last in zip(numbers.tolist(), edges[:-1], edges[1:], strict=True):
        if number:
            begin, end = (short(10**edge if is_log else edge) for edge in (first, last))
            x, y = to_x(first), to_y(number)
            text = f"{number:,} sample{'' if number == 1 else 's'} with {begin} to {end} records"
            bars.append((x, y, round(to_x(last) - x, 1), round(HEIGHT - BOTTOM - y, 1), text))
    marks = (
        [power for power in range(math.floor(low), math.ceil(high) + 1) if low <= power <= high]
        if is_log
        else round_numbers(high)
    )
    if is_log and len(marks) < 2:
        marks = np.linspace(low, high, 4).tolist()
    return Histogram(
        bars,
        [(to_x(mark), short(10**mark if is_log else mark)) for mark in marks],
        [(to_y(mark), short(mark)) for mark in round_numbers(most) if mark == int(mark)],
        is_log,
    )


def _axis(low: float, high: float, begin: float, end: float) -> Callable[[float], float]:
    """Returns a function that converts values to pixels."""
    scale = (end - begin) / ((high - low) or 1)
    return lambda value: round(float(begin + (value - low) * scale), 1)


def scatter_of_copies(statistics: Statistics, names: Sequence[str]) -> Scatter | None:
    """Returns a plot of copies of X against copies of Y; None if they are unknown."""
    x, y = statistics.values["copies_x"], statistics.values["copies_y"]
    if not np.isfinite(x + y).any():
        return None
    places = (
        [(1, 0, "X0"), (2, 0, "XX"), (3, 0, "XXX"), (1, 1, "XY"), (2, 1, "XXY"), (1, 2, "XYY")]
        if statistics.genome
        else []
    )
    titles = [
        f"{name}: {at_x:.2f} X, {at_y:.2f} Y" + (f", {call}" if call else "")
        for name, at_x, at_y, call in zip(
            names, x.tolist(), y.tolist(), statistics.sex_chromosomes, strict=True
        )
    ]
    axes = ("Copies of X", "Copies of Y")
    if not statistics.genome:
        axes = ("X, relative to the cohort", "Y, relative to the cohort")
    return _scatter(statistics, names, (x, y), axes, titles, places, {"copies_x", "copies_y"})


def scatter_of_components(statistics: Statistics, names: Sequence[str]) -> Scatter | None:
    """Returns a plot of the first two principal components; None if there are none."""
    if "pc2" not in statistics.values:
        return None
    x, y = statistics.values["pc1"], statistics.values["pc2"]
    titles = [
        f"{name}: PC1 {at_x:.3f}, PC2 {at_y:.3f}"
        for name, at_x, at_y in zip(names, x.tolist(), y.tolist(), strict=True)
    ]
    axes = tuple(
        f"PC{number} ({share:.1%} of the variance)"
        for number, share in enumerate(statistics.explained[:2], 1)
    )
    return _scatter(statistics, names, (x, y), (axes[0], axes[1]), titles, [], {"pc1", "pc2"})


def _scatter(
    statistics: Statistics,
    names: Sequence[str],
    values: tuple[Floats, Floats],
    axes: tuple[str, str],
    titles: Sequence[str],
    places: Sequence[tuple[float, float, str]],
    labelled: set[str],
) -> Scatter:
    """Returns a scatter plot of the samples whose values are known.

    Args:
        statistics: statistics of the samples.
        names: names of the samples.
        values: values on the two axes.
        axes: labels of the axes.
        titles: titles of the dots.
        places: reference points, labelled if they are within the plot.
        labelled: columns; samples that differ in one of them are labelled.
    """
    known = np.flatnonzero(np.isfinite(values[0] + values[1])).tolist()
    ranges = [_range(column[known], bool(places)) for column in values]
    to_x = _axis(*ranges[0], LEFT, WIDTH - RIGHT)
    to_y = _axis(*ranges[1], HEIGHT - BOTTOM, TOP)
    dots: list[Dot] = []
    hidden: list[str] = []
    labels: list[tuple[float, float, str]] = []
    with_names = len(names) <= MAX_WITH_NAMES
    # Samples that differ are drawn last, so they are in front.
    for at in sorted(known, key=lambda at: bool(statistics.differs[at])):
        x, y = to_x(values[0][at]), to_y(values[1][at])
        differs = statistics.differs[at]
        if with_names or (differs and len(dots) < MAX_DIFFERING):
            title = f"{titles[at]}{', differs' if differs else ''}"
            dots.append(Dot(x, y, title, names[at], bool(differs)))
        else:
            hidden.append(f"M{x:g} {y:g}h0")
        if labelled & set(differs):
            labels.append((x, y, shorten(names[at], SHORT_LABEL_LENGTH)))
    return Scatter(
        title=f"{axes[0]} against {axes[1]} of {len(known):,} samples",
        x_name=axes[0],
        y_name=axes[1],
        x_ticks=[(to_x(mark), f"{mark:.3g}") for mark in _marks(*ranges[0])],
        y_ticks=[(to_y(mark), f"{mark:.3g}") for mark in _marks(*ranges[1])],
        places=[
            Label(to_x(x), to_y(y), text)
            for x, y, text in places
            if ranges[0][0] <= x <= ranges[0][1] and ranges[1][0] <= y <= ranges[1][1]
        ],
        dots=dots,
        path="".join(hidden),
        labels=list(place_labels(labels[:MAX_LABELS])),
    )


def _range(values: Floats, of_copies: bool) -> tuple[float, float]:
    """Returns the range of an axis."""
    low, high = float(values.min()), float(values.max())
    if of_copies:
        low, high = min(low, 0.0), max(high, 1.0)
    margin = 0.08 * (high - low) or 0.5
    return low - margin, high + margin


def _marks(low: float, high: float) -> list[float]:
    steps = round_numbers(high - low)
    step = steps[1] - steps[0]
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def place_labels(labels: Sequence[tuple[float, float, str]]) -> Iterator[Label]:
    """Yields labels at positions where they do not overlap; those that do not fit are omitted.

    Args:
        labels: pixel coordinates of the dots, and texts.
    """
    boxes: list[tuple[float, float, float]] = []
    for x, y, text in labels:
        width = 7.0 * len(text)
        at_end = x + 8 + width > WIDTH - RIGHT
        begin = x - 8 - width if at_end else x + 8
        shifts = [0] + [sign * step * 15 for step in range(1, 8) for sign in (1, -1)]
        free = (
            shift
            for shift in shifts
            if TOP < y + shift < HEIGHT - BOTTOM
            and all(
                abs(y + shift - other_y) >= 14 or begin > other_end or begin + width < other_begin
                for other_begin, other_end, other_y in boxes
            )
        )
        shift = next(free, 0)
        boxes.append((begin, begin + width, y + shift))
        yield Label(x - 8 if at_end else x + 8, y + shift + 4, text, "end" if at_end else "start")


def heat_maps_of(statistics: Statistics, names: Sequence[str]) -> list[HeatMap]:
    """Returns heat maps of chromosome shifts: of samples that differ, then of all samples."""
    shifts = statistics.shifts
    if not shifts.size or not np.isfinite(shifts).any():
        return []
    everyone = list(range(len(names)))
    if len(names) <= MAX_BARS:
        return [_heat_map(statistics, names, everyone)]
    differing = [at for at in everyone if statistics.differs[at]][:MAX_BARS]
    chosen = [differing, everyone] if differing else [everyone]
    return [_heat_map(statistics, names, samples) for samples in chosen]


def _heat_map(statistics: Statistics, names: Sequence[str], samples: list[int]) -> HeatMap:
    cells = statistics.shifts[:, samples].T
    level = np.digitize(np.abs(cells), LEVELS)
    level[~np.isfinite(cells)] = 0
    paths = [("unknown", _path(~np.isfinite(cells)))]
    for number in range(1, len(LEVELS) + 1):
        for name, which in (("up", cells > 0), ("down", cells < 0)):
            paths.append((f"{name} level{number}", _path((level == number) & which)))
    with_names = len(samples) <= MAX_WITH_NAMES
    values = [
        [round(100 * value) if math.isfinite(value) else None for value in row]
        for row in (cells.tolist() if with_names else [])
    ]
    labelled = len(samples) <= MAX_BARS
    return HeatMap(
        statistics.chromosomes,
        len(samples),
        [names[at] for at in samples] if with_names else [],
        labelled,
        paths,
        18 if labelled else max(0.4, min(6.0, 800 / len(samples))),
        json.dumps(values, separators=(",", ":")),
    )


def _path(cells: NDArray[np.bool_]) -> str:
    """Returns the SVG path of all cells, each 10 by 10 units."""
    rows, columns = np.nonzero(cells)
    return "".join(
        f"M{10 * column} {10 * row}h10v10h-10z"
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
    )


def profiles_of(statistics: Statistics, names: Sequence[str]) -> Profiles | None:
    """Returns the profiles of samples that differ; None if there are none, or no bins."""
    bins = statistics.bins
    differing = [at for at, columns in enumerate(statistics.differs) if columns]
    if bins is None or not differing:
        return None
    used = np.flatnonzero(np.isfinite(bins.shifts).any(axis=1))
    contigs = [bins.contigs[at] for at in used.tolist()]
    if not contigs:
        return None
    firsts = [at for at in range(len(contigs)) if at == 0 or contigs[at] != contigs[at - 1]]
    size = -(-len(contigs) // MAX_PARTS_OF_PROFILE)
    begins = [at for at, end in _pairs(firsts, len(contigs)) for at in range(at, end, size)]
    # Relative to the usual share, so that 1.5 means three copies instead of two.
    ratios = np.exp2(bins.shifts[used].astype(np.float64))
    parts = np.array([median(ratios[at:end].T) for at, end in _pairs(begins, len(contigs))])
    known = parts[:, np.isfinite(parts).all(axis=0)]
    low, high = np.quantile(known, (0.05, 0.95), axis=1)
    to_x = _axis(0, len(contigs), LEFT, WIDTH - RIGHT)
    to_y = _axis(0, TOP_OF_PROFILE, PROFILE_HEIGHT - 18, 6)
    middles = [to_x((at + end) / 2) for at, end in _pairs(begins, len(contigs))]

    def points(values: Floats) -> list[str]:
        heights = np.clip(values, 0, TOP_OF_PROFILE).tolist()
        return [f"{x:g} {to_y(y):g}" for x, y in zip(middles, heights, strict=True)]

    edges = []
    for first, last in _pairs(firsts, len(contigs)):
        x, end = to_x(first), to_x(last)
        text = contigs[first].removeprefix("chr")
        edges.append((x, round((x + end) / 2, 1), text if end - x > 5.5 * len(text) else ""))
    return Profiles(
        "M" + "L".join([*points(high), *reversed(points(low))]) + "Z",
        edges,
        [(to_y(mark), f"{mark:g}") for mark in (0, 0.5, 1, 1.5, 2)],
        [
            Profile(
                names[at],
                "; ".join(reasons_of(statistics, at)),
                "M" + "L".join(points(parts[:, at])) if np.isfinite(parts[:, at]).all() else "",
            )
            for at in differing[:MAX_PROFILES]
        ],
    )


def _pairs(begins: Sequence[int], end: int) -> list[tuple[int, int]]:
    """Returns the begin and end of each part."""
    return list(zip(begins, [*begins[1:], end], strict=True))


@dataclass(frozen=True)
class Cell:
    """A cell of the table.

    Attributes:
        text: displayed text.
        value: sort key, if different from the text.
        is_text: whether it is text rather than a number.
    """

    text: str
    value: str = ""
    is_text: bool = False


def columns_of(statistics: Statistics) -> dict[str, list[str]]:
    """Returns the columns of the table that have values; the column `differs` comes first."""
    columns = statistics.columns()
    differs = {"differs": columns.pop("differs")} if len(statistics.differs) else {}
    return differs | {name: texts for name, texts in columns.items() if any(texts)}


def headings_of(statistics: Statistics) -> list[tuple[str, bool]]:
    """Returns the headings of the statistics' columns, and whether they are text."""
    texts = {"sex_chromosomes", "differs"}
    return [(NAMES[column], column in texts) for column in columns_of(statistics)]


def parts_of(
    statistics: Statistics, counted: Sequence[SampleRow], names: Sequence[str]
) -> Iterator[list[tuple[str, str, list[Cell]]]]:
    """Yields the parts of the table: name, note and cells of each counted sample."""
    columns = [
        list(_cells(statistics, name, texts)) for name, texts in columns_of(statistics).items()
    ]
    for start in range(0, len(counted), MAX_ROWS_OF_PART):
        yield [
            (
                names[at],
                shorten(counted[at].message, MAX_NAME_LENGTH),
                [_number(counted[at].records), *(column[at] for column in columns)],
            )
            for at in range(start, min(start + MAX_ROWS_OF_PART, len(counted)))
        ]


def _number(value: int | None) -> Cell:
    return Cell(UNKNOWN if value is None else f"{value:,}")


def _cells(statistics: Statistics, name: str, texts: Sequence[str]) -> Iterator[Cell]:
    """Yields the cells of a column."""
    for at, text in enumerate(texts):
        if name == "largest_shift":
            shift = statistics.shift_of(at)
            yield Cell(text or UNKNOWN, f"{abs(shift[1]):.4f}" if shift else UNKNOWN)
        elif name == "differs":
            columns = ", ".join(NAMES[column] for column in statistics.differs[at])
            yield Cell(columns, is_text=True)
        elif name in FORMAT:
            value = float(statistics.values[name][at])
            yield Cell(f"{value:,.0f}" if abs(value) >= 1000 else text or UNKNOWN)
        else:
            yield Cell(text, is_text=True)
