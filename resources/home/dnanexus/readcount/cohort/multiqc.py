"""The counts of a cohort as MultiQC custom content: one bar per sample."""

from collections.abc import Mapping

import numpy as np

from readcount.cohort.columns import ColumnStore
from readcount.outputs.multiqc import format_bars, in_order, part_of_each
from readcount.regions.region_list import RegionList


def format_cohort_bars(
    records_counted: str,
    from_index: bool,
    regions: RegionList,
    lengths: Mapping[str, int],
    samples: Mapping[int, str],
    store: ColumnStore,
) -> str:
    """Returns the text of the file, in the section that samtools_count uses for the same filters.

    Args:
        records_counted: description of the records counted.
        from_index: whether the counts were taken from the index.
        regions: the regions.
        lengths: lengths of the reference sequences in bases, by name.
        samples: names of the samples, by number.
        store: columns of the samples.
    """
    names = list(part_of_each(regions, lengths))
    parts = in_order(dict.fromkeys(names))
    number_of = {part: number for number, part in enumerate(parts)}
    part_of = np.array([number_of[name] for name in names], np.int64)
    records = np.zeros((len(parts), len(samples)), np.int64)
    for rows, block in store.blocks(list(samples)):
        for part in np.unique(part_of[rows]).tolist():
            records[part] += block[part_of[rows] == part].sum(axis=0)
    bars = dict(zip(samples.values(), records.T.tolist(), strict=True))
    return format_bars(records_counted, from_index, parts, bars)
