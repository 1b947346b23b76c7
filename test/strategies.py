"""Hypothesis strategies for BAM files."""

from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st

from builders import Read
from readcount.formats.bam_index import BAI_SHIFT
from readcount.planning.costs import DOWNLOADED

# Positions that share an entry of a BAI's linear index (SAM specification, section 5.1.3).
INTERVAL = 1 << BAI_SHIFT
UNMAPPED = 0x4
CIGARS = [None, "1M", "10M", "3S5M", "2M40000N2M", "5I", "100000M"]
# Costs with which every sequence is split and its records are only counted (COUNTED), or the
# positions of all records are decoded (DECODED). Parts of the file are never joined.
COUNTED = replace(DOWNLOADED, call=0.0, call_per_sequence=0.0, gap_bytes=0)
DECODED = replace(COUNTED, call=1e9)
ways_to_count = st.sampled_from([DOWNLOADED, COUNTED, DECODED])


def examples(number: int) -> settings:
    """Returns settings for this many examples, reduced in proportion in a profile below 40."""
    profile = settings.get_profile(settings.get_current_profile_name())
    return settings(max_examples=max(1, number * profile.max_examples // 40))


@dataclass(frozen=True)
class Case:
    """A BAM to write: lengths in header order, records, and whether its index is a CSI."""

    lengths: dict[str, int]
    reads: list[Read]
    csi: bool


@st.composite
def reads_on(draw: st.DrawFn, contig: str, length: int, last: int) -> list[Read]:
    """Draws records on a sequence, some beyond its end; `last` is the last indexable position."""
    near = st.integers(0, min(length + 5, last))
    far = st.integers(0, min(length + 300_000, last))
    edges = st.sampled_from([INTERVAL - 1, INTERVAL, 2 * INTERVAL, 2**29 - 1, 2**29, length - 1])
    reads = st.builds(
        Read,
        contig=st.just(contig),
        position=near | near | far | edges.filter(lambda at: at <= last),
        cigar=st.sampled_from(CIGARS),
        flag=st.sampled_from([0, UNMAPPED, 0x10, 0x100, 0x800]),
    )
    placed = [read for read in draw(st.lists(reads, max_size=12)) if reach(read) <= last]
    # POS 0 means no position. htslib does not index a file with two such records on a sequence.
    without_position = st.builds(
        Read,
        contig=st.just(contig),
        position=st.just(-1),
        cigar=st.sampled_from(CIGARS),
        flag=st.sampled_from([0, UNMAPPED]),
    )
    return [*draw(st.lists(without_position, max_size=1)), *placed]


def reach(read: Read) -> int:
    """Returns an upper bound of the end of a record."""
    return read.position + 110_000


@st.composite
def cases(draw: st.DrawFn) -> Case:
    csi = draw(st.booleans())
    sizes = st.integers(1, 8) | st.integers(1, 200_000)
    if csi:
        sizes |= st.integers(2**29, 2**30)
    names = st.sampled_from(["chr1", "chr1:1-5", "HLA-A*01", "{chr1}", "a}", "#x", ".", "c,d"])
    lengths = draw(st.dictionaries(names, sizes, min_size=1, max_size=3))
    if csi:
        # The longest sequence determines the maximum position in a CSI.
        lengths["long"] = 2**30
    last = lengths.get("long", 2**29) - 1
    reads = [
        read for name, length in lengths.items() for read in draw(reads_on(name, length, last))
    ]
    return Case(lengths, [*reads, *draw(st.lists(st.just(Read(None)), max_size=2))], csi)
