"""Lists the regions to count: every reference sequence, named regions, or BED intervals."""

from pathlib import Path

from readcount.errors import InputError
from readcount.formats.content import OTHER_KINDS, kind_of
from readcount.regions.bed import read_bed
from readcount.regions.interval_list import is_interval_list, read_interval_list
from readcount.regions.primary_chromosomes import is_primary_chromosome
from readcount.regions.region import UNPLACED, some_of
from readcount.regions.region_list import RegionList, joined
from readcount.regions.samtools_syntax import parse_region
from readcount.regions.windows import cut_into_windows
from readcount.request.request import Request
from readcount.source.sequences import SequenceDictionary
from readcount.text import plural, shorten


def list_regions(request: Request, bed: Path | None, sequences: SequenceDictionary) -> RegionList:
    """Returns the regions to count, in output order.

    Named regions come first, then the intervals of the BED file, each in the order given; without
    either, every reference sequence in header order.

    Args:
        request: what the user asks for.
        bed: path of the BED file or interval list; None if there is none.
        sequences: the reference sequences of the file.

    Raises:
        InputError: a region is not on a reference sequence of this header, or no region is left.
    """
    lengths = sequences.lengths
    if request.regions or bed:
        named = (parse_region(text, sequences) for text in request.regions)
        regions = RegionList.of(sequences, named)
        if bed:
            read = read_interval_list if is_interval_list(bed) else read_bed
            regions = joined([regions, read(_text_file(bed), sequences)])
    else:
        regions = RegionList.of_whole(lengths)
    if request.primary_chromosomes_only:
        primary = {contig for contig in lengths if is_primary_chromosome(contig)}
        primary |= {
            contig for alias, contig in sequences.aliases.items() if is_primary_chromosome(alias)
        }
        regions = regions.regions_on(primary)
        if not regions:
            raise InputError(
                "primary_chromosomes_only: no region is on chromosome 1-22, X, Y or M. The file "
                f"contains {some_of(lengths)}; omit this input."
            )
    if request.windows:
        regions = cut_into_windows(regions, request.windows, lengths)
    if request.from_index and len(regions.whole) < len(regions):
        part = shorten(repr(str(regions[regions.spans[0]])), 60)
        raise InputError(
            f"counts_from: 'index' has no count for {part}, which is only part of a sequence. Set "
            "counts_from to 'records'."
        )
    if request.include_unplaced:
        regions = joined([regions, RegionList.of(sequences, [UNPLACED])])
    return regions


def _text_file(path: Path) -> Path:
    """Returns the path; raises InputError if the file type cannot contain intervals."""
    kind = kind_of(path)
    if kind in OTHER_KINDS:
        raise InputError(
            f"regions_bed: {shorten(path.name, 80)} is {kind}. Provide a BED file or an "
            "interval list."
        )
    return path


def describe_regions(request: Request, bed: Path | None) -> str:
    """Returns a description of the requested regions, for the log and the report."""
    parts = []
    if request.regions:
        parts.append(plural(len(request.regions), "named region"))
    if bed:
        parts.append(f"the intervals of {bed.name}")
    text = " and ".join(parts) or "all reference sequences"
    if request.primary_chromosomes_only:
        text += " on chromosomes 1-22, X, Y and M"
    if request.windows:
        text += f", in windows of {plural(request.windows, 'base')}"
    return text + (", and unplaced records" if request.include_unplaced else "")
