"""Windows: regions cut into consecutive parts of so many bases."""

from collections.abc import Mapping, Sequence

from readcount.errors import InputError
from readcount.request.region import Region, RegionError, require_spans
from readcount.text import shorten

# A million take the parent process 550 MB, so that so many need a larger worker than the default.
MOST_WINDOWS = 20_000_000


def cut_into_windows(
    regions: Sequence[Region], size: int, lengths: Mapping[str, int]
) -> list[Region]:
    """Returns the windows of each region, in its order, the last one shorter.

    A region without an end, such as a whole sequence, ends with the sequence.

    Args:
        regions: placed ones.
        size: bases in a window.
        lengths: of the reference sequences in bases, by name.

    Raises:
        InputError: there would be more than MOST_WINDOWS, or samtools takes no span of a sequence.
    """
    bounds = [(region.start or 0, region.end or lengths[region.contig]) for region in regions]
    number = sum(-(-(end - start) // size) for start, end in bounds)
    if number > MOST_WINDOWS:
        raise InputError(
            f"windows: {size:,} bases make {number:,} windows, and at most {MOST_WINDOWS:,} can be "
            "counted. Give a larger size, or fewer regions."
        )
    for region in regions:
        _require_spans(region.contig)
    return [
        Region(region.contig, at, min(at + size, end), alias=region.alias)
        for region, (start, end) in zip(regions, bounds, strict=True)
        for at in range(start, end, size)
    ]


def _require_spans(contig: str) -> None:
    try:
        require_spans(contig)
    except RegionError as error:
        name = shorten(repr(contig), 60)
        raise InputError(f"windows: {name} {error} Leave it out with 'regions'.") from None
