"""The statistics of a cohort as MultiQC custom content.

Call `format_general_statistics(samples, statistics)` for columns of MultiQC's general statistics
table, and `format_copies(samples, statistics)` for a plot of X against Y. Each is a separate file
whose name ends with `_mqc.tsv`. https://docs.seqera.io/multiqc/custom_content
"""

from collections.abc import Mapping, Sequence

import numpy as np

from readcount.cohort.statistics import FORMAT, Statistics
from readcount.outputs.multiqc import format_section

# The columns that can be compared at a glance; the table of samples has all.
_NUMBERS: Mapping[str, Mapping[str, object]] = {
    "records_per_mb": {
        "title": "Records/Mb",
        "description": "Records per megabase, median of the autosomes",
        "scale": "Blues",
        "format": "{:,.0f}",
    },
    "copies_x": {"title": "X", "description": "Copies of X", "scale": "PuBu", "format": "{:,.2f}"},
    "copies_y": {"title": "Y", "description": "Copies of Y", "scale": "PuBu", "format": "{:,.2f}"},
    "mt_per_autosome": {
        "title": "MT",
        "description": "Mitochondrial genomes per copy of an autosome",
        "scale": "Oranges",
        "format": "{:,.0f}",
        "hidden": True,
    },
    "spread": {
        "title": "Spread",
        "description": "How much the share of regions varies (log2)",
        "scale": "OrRd",
        "format": "{:,.3f}",
        "hidden": True,
    },
}
_TEXTS: Mapping[str, Mapping[str, object]] = {
    "sex_chromosomes": {
        "title": "Sex chr.",
        "description": "Sex chromosomes: XX, XY, other or unclear",
    },
    "differs": {
        "title": "Differs in",
        "description": "Values that are more than five robust deviations from the cohort's median",
    },
}


def format_general_statistics(samples: Sequence[str], statistics: Statistics) -> str:
    """Returns the text of the file for the table of general statistics.

    Columns without any value are omitted.

    Args:
        samples: names of the samples that were counted.
        statistics: statistics of these samples.
    """
    columns = statistics.columns()
    shown = {
        name: {"namespace": "samtools_count", **settings}
        for name, settings in {**_NUMBERS, **_TEXTS}.items()
        if any(columns.get(name, []))
    }
    settings = {
        "id": "samtools_count_cohort",
        "plot_type": "generalstats",
        "file_format": "tsv",
        "pconfig": [{name: each} for name, each in shown.items()],
    }
    rows = zip(samples, *(columns[name] for name in shown), strict=True)
    return format_section(settings, ("Sample", *shown), rows)


def format_copies(samples: Sequence[str], statistics: Statistics) -> str:
    """Returns the text of the file for a plot of X against Y; empty if copies are unknown.

    Args:
        samples: names of the samples that were counted.
        statistics: statistics of these samples.
    """
    x, y = statistics.values["copies_x"], statistics.values["copies_y"]
    known = np.flatnonzero(np.isfinite(x + y)).tolist()
    if not known:
        return ""
    against = statistics.genome or "the cohort"
    settings = {
        "id": "samtools_count_copies",
        "section_name": "Copies of X and Y",
        "description": "Twice the ratio of records per base of X and Y to the median autosome, "
        f"counted by samtools_count ({against}).",
        "plot_type": "scatter",
        "file_format": "tsv",
        "pconfig": {
            "id": "samtools_count_copies_plot",
            "title": "samtools_count: copies of X and Y",
            "xlab": "Copies of X",
            "ylab": "Copies of Y",
        },
    }
    rows = (
        (samples[at], format(x[at], FORMAT["copies_x"]), format(y[at], FORMAT["copies_y"]))
        for at in known
    )
    return format_section(settings, ("Sample", "X", "Y"), rows)
