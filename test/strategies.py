"""BAM files that hypothesis makes up."""

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
# Costs with which every sequence is cut and counted, or every record looked at, and no parts of the
# file are joined.
COUNTED = replace(DOWNLOADED, call=0.0, call_per_sequence=0.0, gap_bytes=0)
LOOKED_AT = replace(COUNTED, call=1e9)
ways_to_count = st.sampled_from([DOWNLOADED, COUNTED, LOOKED_AT])


def examples(number: int) -> settings:
    """Returns the settings for this many examples, or fewer if the profile has fewer than 40."""
    profile = settings.get_profile(settings.get_current_profile_name())
    return settings(max_examples=max(1, number * profile.max_examples // 40))


@dataclass(frozen=True)
class Case:
    lengths: dict[str, int]
    reads: list[Read]
    csi: bool


@st.composite
def reads_on(draw: st.DrawFn, contig: str, length: int, last: int) -> list[Read]:
    """Records on a sequence, over its end as well; last is the last position an index can have."""
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
    # POS 0 means that there is no position. htslib makes no index if a sequence has two of them.
    without_position = st.builds(
        Read,
        contig=st.just(contig),
        position=st.just(-1),
        cigar=st.sampled_from(CIGARS),
        flag=st.sampled_from([0, UNMAPPED]),
    )
    return [*draw(st.lists(without_position, max_size=1)), *placed]


def reach(read: Read) -> int:
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
        # The longest sequence decides which positions the index can have.
        lengths["long"] = 2**30
    last = lengths.get("long", 2**29) - 1
    reads = [
        read for name, length in lengths.items() for read in draw(reads_on(name, length, last))
    ]
    return Case(lengths, [*reads, *draw(st.lists(st.just(Read(None)), max_size=2))], csi)
