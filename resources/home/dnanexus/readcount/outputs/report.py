"""The HTML report: a self-contained page with the counts.

Bars are drawn as SVG here and in the template, so the page is complete without its script, which
only sorts and filters the table.
"""

import math
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from readcount.outputs.profile import profiles_of
from readcount.outputs.result import Result
from readcount.regions.counts import RegionCount, RegionCounts
from readcount.source.parts import NO_SEQUENCE
from readcount.text import shorten

# Maximum size of the table's HTML; the rest of the page is a tenth of that.
MAX_TABLE_BYTES = 400_000
# Size of a row's markup and of large numbers in it.
ROW_BYTES = 80
# Maximum number of bars: what can be compared at a glance and fits on a printed page.
MAX_BARS = 50
MAX_TICKS = 5
# Maximum length of names in the table and in the chart; longer ones are shortened.
MAX_NAME_LENGTH = 500
LABEL_LENGTH = 60

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table.

    Attributes:
        number: number of the region in output order, from 1.
        name: name of the region.
        position: the region in samtools syntax, if its name is different.
        length: length in bases; None for unplaced records.
        records: the count.
        share: fraction of the total, from 0 to 1; None if the total is 0.
        per_megabase: records per 1,000,000 bases; None without a length.
    """

    number: int
    name: str
    position: str
    length: int | None
    records: int
    share: float | None
    per_megabase: float | None


@dataclass(frozen=True)
class Chart:
    """One way to draw the bars; lengths and positions are in percent of the longest bar.

    Attributes:
        measure: what the bars show: records or density.
        scale: linear or log.
        bars: length of each bar.
        ticks: positions and labels of the axis ticks.
    """

    measure: str
    scale: str
    bars: Sequence[float]
    ticks: Sequence[tuple[float, str]]


def format_report(result: Result, bam_name: str, name: str) -> str:
    """Returns the page as HTML; byte-identical for the same counts.

    Args:
        result: the counts.
        bam_name: name of the input file.
        name: base name of the other output files.
    """
    rows = rows_that_fit(result)
    drawn = rows_to_draw(rows)
    return render_page(
        FOLDER / "report.html",
        title=f"{bam_name}: records by region",
        kind="Records by region",
        heading=bam_name,
        bam_name=bam_name,
        name=name,
        result=result,
        records_counted=shorten(result.records_counted, MAX_NAME_LENGTH),
        regions=len(result.counts),
        with_records=int(np.count_nonzero(result.counts.records)),
        unplaced=_unplaced(result.counts),
        rows=rows,
        drawn=drawn,
        charts=charts_of(drawn),
        profiles=profiles_of(result),
        largest=max(rows, key=lambda row: row.records, default=None),
    )


def render_page(template: Path, title: str, kind: str, heading: str, **values: object) -> str:
    """Returns a page of the layout that all reports share, page.html.

    Args:
        template: path of the template of the page's main part. A script and a style sheet beside
            it, with the same name, are added to those of all reports.
        title: title in the browser.
        kind: kind of the report.
        heading: heading of the page.
        values: values for the template.
    """
    environment = Environment(
        loader=FileSystemLoader([FOLDER, template.parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    stems = dict.fromkeys((FOLDER / "report", template.with_suffix("")))
    script, style = (
        "".join(stem.with_suffix(suffix).read_text(encoding="utf-8") for stem in stems)
        for suffix in (".js", ".css")
    )
    return environment.get_template(template.name).render(
        title=title,
        kind=kind,
        heading=heading,
        label_length=LABEL_LENGTH,
        script=Markup(script),
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        style=Markup(style),
        **values,
    )


def rows_that_fit(result: Result, most_bytes: int = MAX_TABLE_BYTES) -> list[Row]:
    """Returns a row per region, or for those with the most records if there are too many.

    All regions are in output order; a selection is sorted by records, descending.
    """
    total = result.total
    rows: list[Row] = []
    size = 0
    starts, ends = result.counts.regions.extents(result.lengths)
    for at in np.argsort(-result.counts.records, kind="stable").tolist():
        row = _row(at + 1, result.counts[at], int(ends[at] - starts[at]), total)
        size += ROW_BYTES + len(escape(row.name + row.position).encode())
        if size > most_bytes:
            return rows
        rows.append(row)
    return sorted(rows, key=lambda row: row.number)


def _unplaced(counts: RegionCounts) -> int | None:
    """Returns the count of unplaced records; None if it was not requested."""
    unplaced = counts.records[counts.regions.tids == NO_SEQUENCE]
    return int(unplaced[0]) if len(unplaced) else None


def _row(number: int, count: RegionCount, bases: int, total: int) -> Row:
    region, records = count.region, count.records
    length = bases if region.placed else None
    return Row(
        number=number,
        name=shorten(
            region.name or (str(region) if region.placed else "unplaced"), MAX_NAME_LENGTH
        ),
        position=shorten(str(region), MAX_NAME_LENGTH) if region.name else "",
        length=length,
        records=records,
        share=records / total if total else None,
        per_megabase=records * 1e6 / length if length else None,
    )


def rows_to_draw(rows: Sequence[Row]) -> list[Row]:
    """Returns the rows with the most records, in output order."""
    largest = sorted(rows, key=lambda row: -row.records)[:MAX_BARS]
    return sorted(largest, key=lambda row: row.number)


def charts_of(rows: Sequence[Row]) -> list[Chart]:
    """Returns the chart in all combinations of measure and scale."""
    measures = {
        "records": [float(row.records) for row in rows],
        "density": [row.per_megabase or 0.0 for row in rows],
    }
    return [
        draw(measure, scale, values)
        for measure, values in measures.items()
        for scale in ("linear", "log")
    ]


def draw(measure: str, scale: str, values: Sequence[float]) -> Chart:
    """Returns a chart of non-negative values.

    The log scale is log(1 + value), so that it starts at 0 and one record is visible.
    """
    longest = max(values, default=0) or 1.0
    apply: Callable[[float], float] = math.log1p if scale == "log" else float
    marks = powers_of_ten(longest) if scale == "log" else round_numbers(longest)
    return Chart(
        measure,
        scale,
        bars=[round(100 * apply(value) / apply(longest), 2) for value in values],
        ticks=[(round(100 * apply(mark) / apply(longest), 2), short(mark)) for mark in marks],
    )


def round_numbers(longest: float) -> list[float]:
    """Returns 0 and evenly spaced ticks: multiples of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(longest / MAX_TICKS))
    step = next(power * times for times in (1, 2, 5, 10) if power * times * MAX_TICKS >= longest)
    return [step * number for number in range(int(longest / step * (1 + 1e-9)) + 1)]


def powers_of_ten(longest: float) -> list[float]:
    """Returns 0 and at most MAX_TICKS powers of ten up to a number.

    Below 1 the log scale is nearly linear, and the ticks are linear too.
    """
    if longest < 1:
        return round_numbers(longest)
    powers = math.floor(math.log10(longest) + 1e-9)
    step = math.ceil((powers + 1) / MAX_TICKS)
    # With many powers of ten, the label of 1 would overlap that of 0.
    first = (powers % step or step) if step > 1 else 0
    return [0.0, *(10.0**power for power in range(first, powers + 1, step))]


def short(number: float) -> str:
    """Returns a number as short text: 0, 0.5, 20, 5 k, 1.5 M."""
    for power, letter in (9, " G"), (6, " M"), (3, " k"):
        if number >= 10**power:
            return f"{number / 10**power:.3g}{letter}"
    return f"{number:.3g}"
