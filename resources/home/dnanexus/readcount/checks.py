"""What must hold before a count is believed.

samtools reads only where the index points to, and believes a file as far as it can decode it, so
a count can be wrong without a word from it. The index also holds how many records each reference
sequence has, and from where to where in the file they lie. What both say cannot be short.
"""

import gzip
import io
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from readcount.content import (
    BAM,
    BAM_INDEXES,
    BEGINNING_BYTES,
    CRAM,
    CRAM_INDEX,
    kind_of,
    kind_of_bytes,
)
from readcount.counts import RegionCount
from readcount.cram import (
    Container,
    ContainerError,
    Slice,
    cram_index,
    guess_containers,
    read_crai,
)
from readcount.errors import INDEX_ANEW, MORE_STORAGE, DiskSpaceError, InputError, shorten
from readcount.index import NO_PLACE, ContigIndex, Index, IndexFormatError, read_index
from readcount.inputs import IndexedBam
from readcount.regions import UNPLACED, Contig, Header, Region, read_header
from readcount.samtools import (
    count_region,
    disagreement,
    has_header,
    quickcheck,
    sort_it,
    tally_all,
    tally_before_first_position,
)
from readcount.selection import EVERYTHING, Selection

# Room for what is written beside the inputs.
SPARE_BYTES = 100 * 1000**2
# A header of a million sequences takes some 10 MB; the last block or container takes 38 bytes.
LONGEST_BEGINNING = 1 << 28
END_BYTES = 100
# Two blocks of a BAM, the most over which a number lies (SAM specification, section 4.1), and some.
BLOCKS_BYTES = 3 << 16


def check_disk(needed: int, free: int) -> None:
    """Raises DiskSpaceError unless so many bytes fit, with some to spare."""
    if needed + SPARE_BYTES > free:
        raise DiskSpaceError(
            f"mappings_sorted_bam: the inputs need {needed / 1e9:,.1f} GB of disk, and the worker "
            f"has {free / 1e9:,.1f} GB free. {MORE_STORAGE}"
        )


def read_files(bam: IndexedBam) -> tuple[Header, dict[str, Contig]]:
    """Reads what the header and the index say, each reference sequence by its name.

    Raises:
        InputError: the files are not a BAM or CRAM sorted by position and its index, or are
            damaged, or do not belong together. All faults are named.
    """
    header, bam_faults = _read_bam(bam)
    index, index_faults = _read_crai(bam, header) if bam.cram else _read_index(bam)
    if header is None or index is None:
        raise InputError("\n".join(bam_faults + index_faults))
    return header._replace(unplaced=index.unplaced), _by_name(bam, header, index.entries)


def with_containers(bam: IndexedBam, header: Header) -> dict[str, Contig]:
    """Gives what read_files says of a CRAM that is read in place, by its containers too.

    Their headers are all over the file, so that they are read only where they are needed: when
    what was counted is checked.

    Raises:
        InputError: the containers cannot be followed to the end, or are not those of the index.
    """
    index, faults = _by_containers(bam, header, read_crai(bam.index), bam.containers)
    if index is None:
        raise InputError("\n".join(faults))
    return _by_name(bam, header, index.entries)


def _by_name(bam: IndexedBam, header: Header, entries: Sequence[ContigIndex]) -> dict[str, Contig]:
    if len(entries) != len(header.names):
        raise InputError(
            f"mappings_sorted_bai: {bam.index_shown} was made for a file with {len(entries):,} "
            f"reference sequences, and {bam.shown} has {len(header.names):,}. {INDEX_ANEW}"
        )
    return {
        name: Contig(length, *entry)
        for name, length, entry in zip(header.names, header.lengths, entries, strict=True)
    }


def read_unindexed(bam: IndexedBam) -> Header:
    """Reads the header of a file that has no index yet; raises InputError as read_files does."""
    header, faults = _read_bam(bam)
    if header is None:
        raise InputError("\n".join(faults))
    return header


def _read_bam(bam: IndexedBam) -> tuple[Header | None, list[str]]:
    """Gives the header, or what is wrong."""
    field = f"mappings_sorted_bam: {bam.shown}"
    kind = kind_of_bytes(bam.read(0, BEGINNING_BYTES))
    if kind not in (BAM, CRAM):
        return None, [f"{field} is {kind}, not a BAM or CRAM file. Give one sorted by position."]
    with _outline(bam) as outline:
        if quickcheck(bam, outline):
            return None, [
                f"{field} is incomplete or damaged: it has not the header and the last block of a "
                f"whole {kind.split()[1]} file. Upload it again."
            ]
        try:
            header = read_header(outline)
        except (OSError, ValueError) as error:
            reason = shorten(str(error), 100)
            return None, [
                f"{field} is damaged: its header cannot be read ({reason}). Upload it again."
            ]
    if header.sort_order not in ("coordinate", "unknown"):
        return None, [
            f"{field} is not sorted by position: its header says SO:{header.sort_order}. "
            f"{sort_it(bam)}"
        ]
    repeated = [name for name, times in Counter(header.names).items() if times > 1]
    if repeated:
        # SAM specification, section 1.3; the second one could not be asked for.
        return None, [
            f"{field} has more than one reference sequence {shorten(repeated[0], 60)} in its "
            "header. Give each a name of its own, with 'samtools reheader'."
        ]
    return header, []


@contextmanager
def _outline(bam: IndexedBam) -> Iterator[Path]:
    """Gives a path at which the header and the end of the file can be read.

    In place that is a copy of no more than these, which saves a connection for each look.
    """
    if not bam.in_place:
        yield bam.path
        return
    with tempfile.NamedTemporaryFile() as copy:
        path, have, wanted = Path(copy.name), 0, BEGINNING_BYTES
        while have < min(bam.size, LONGEST_BEGINNING):
            copy.write(bam.read(have, wanted - have))
            copy.flush()
            have = wanted
            if has_header(bam, path):
                break
            wanted *= 2
        if have < bam.size:
            end = max(have, bam.size - END_BYTES)
            copy.write(bam.read(end, bam.size - end))
            copy.flush()
        yield path


def _read_index(bam: IndexedBam) -> tuple[Index | None, list[str]]:
    """Gives what the index says, or what is wrong."""
    field = f"mappings_sorted_bai: {bam.index_shown}"
    kind = kind_of(bam.index)
    if kind not in BAM_INDEXES:
        return None, [f"{field} is {kind}, not the index of a BAM file. {INDEX_ANEW}"]
    try:
        return read_index(bam.index), []
    except IndexFormatError as error:
        return None, [f"{field} is damaged: {error}. {INDEX_ANEW}"]


def _read_crai(bam: IndexedBam, header: Header | None) -> tuple[Index | None, list[str]]:
    """Gives what the index of a CRAM says, or what is wrong with it, or with the CRAM."""
    field = f"mappings_sorted_bai: {bam.index_shown}"
    kind = kind_of(bam.index)
    # The index of a CRAM without records has no line to tell it by.
    if kind not in (CRAM_INDEX, "a gzip-compressed file"):
        return None, [f"{field} is {kind}, not the index of a CRAM file. {INDEX_ANEW}"]
    try:
        slices = read_crai(bam.index)
    except IndexFormatError as error:
        return None, [f"{field} is damaged: {error}. {INDEX_ANEW}"]
    if header is None:
        return None, []
    containers = partial(guess_containers, slices) if bam.in_place else bam.containers
    return _by_containers(bam, header, slices, containers)


def _by_containers(
    bam: IndexedBam,
    header: Header,
    slices: Sequence[Slice],
    containers: Callable[[], Sequence[Container]],
) -> tuple[Index | None, list[str]]:
    """Gives what the lines of an index and the containers say together, or what is wrong."""
    try:
        return Index(cram_index(slices, containers(), len(header.names)), None), []
    except ContainerError as error:
        return None, [
            f"mappings_sorted_bam: {bam.shown} cannot be read as a CRAM: {error}. Upload it again, "
            "or give it as a BAM."
        ]
    except IndexFormatError as error:
        return None, [
            f"mappings_sorted_bai: {bam.index_shown} was not made from {bam.shown}: {error}. "
            f"{INDEX_ANEW}"
        ]


def check_coverage(bam: IndexedBam, header: Header, contigs: Mapping[str, Contig]) -> None:
    """Raises InputError if records lie where the index has none.

    A sequence that has no records by the index is never looked at, so that its count cannot show
    that the index is not the file's. But the records of a sorted file lie without a gap: what
    follows the last one of a sequence is the first one of the next that has some, and what
    follows the last of all has no place. It is looked at only where the index leaves a gap. The
    containers of a CRAM tell what they hold, whatever the index says.
    """
    if bam.cram:
        return
    at = header.end
    for number, (name, contig) in enumerate(contigs.items()):
        if contig.records == 0:
            continue
        if at is not None and contig.begin is not None and at != contig.begin:
            _require_record(bam, header, at, number, f"the first record of {shorten(name, 60)}")
        at = contig.end
    if at is not None:
        _require_record(bam, header, at, NO_PLACE, "no record that has a place")


def _require_record(bam: IndexedBam, header: Header, at: int, number: int, expected: str) -> None:
    """Raises InputError unless the record at an offset is of the reference sequence number."""
    try:
        found = _reference_at(bam, at)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"mappings_sorted_bam: {bam.shown} cannot be read where {bam.index_shown} has "
            f"{expected}. One of the two is damaged, or the index was made from another file. "
            "Upload the BAM again, and an index made from it with 'samtools index'.",
            f"at virtual file offset {at}: {error}",
        ) from error
    if found != number:
        there = "none" if found == NO_PLACE else "a record of another reference sequence"
        if 0 <= found < len(header.names):
            there = f"a record of {shorten(header.names[found], 60)}"
        raise InputError(
            f"mappings_sorted_bai: {bam.index_shown} was not made from {bam.shown}: where it has "
            f"{expected}, the file has {there}. {INDEX_ANEW}"
        )


def _reference_at(bam: IndexedBam, at: int) -> int:
    """Gives the refID of the record at a virtual file offset; NO_PLACE at the end of the file.

    Read without htslib, which a damaged record can make crash. A record begins with its size and
    its refID (SAM specification, sections 4.1.1 and 4.2).

    Raises:
        OSError, EOFError, zlib.error: nothing can be read there.
    """
    blocks = io.BytesIO(bam.read(at >> 16, BLOCKS_BYTES))
    with gzip.GzipFile(fileobj=blocks) as data:
        data.seek(at & 0xFFFF)
        beginning = data.read(8)
    if not beginning:
        return NO_PLACE
    if len(beginning) < 8:
        raise EOFError("the file ends within a record")
    return int.from_bytes(beginning[4:], "little", signed=True)


def check_read_groups(bam: IndexedBam, header: Header, selection: Selection) -> None:
    """Raises InputError for a read group that the header does not have."""
    unknown = [name for name in selection.read_groups if name not in header.read_groups]
    if unknown:
        known = shorten(", ".join(header.read_groups) or "none", 160)
        raise InputError(
            f"read_groups: {bam.shown} has no read group {shorten(unknown[0], 60)}. Give the ID of "
            f"an @RG line of its header; it has: {known}."
        )


def check_counts(
    bam: IndexedBam,
    counts: Sequence[RegionCount],
    contigs: Mapping[str, Contig],
    selection: Selection = EVERYTHING,
    unplaced: int | None = None,
) -> list[str]:
    """Holds counts against the index, or else against the whole file.

    The index has how many records each whole sequence has, and how many have no place. Where it
    has no such statistics (those of old samtools), or not for all sequences, every record of the
    file is read once more, without the index. Of the records of a span, or of those of a
    selection, nothing tells how many there should be, but that there are no more than of all.

    Args:
        bam: the BAM with its index.
        counts: what was counted.
        contigs: what is known of each reference sequence, by name.
        selection: which records were counted.
        unplaced: how many records without a place the index has, if it says.

    Returns:
        What was found to agree, for the log.

    Raises:
        InputError: a count is not what it should be.
    """
    known = {name: contig.records for name, contig in contigs.items() if contig.records is not None}
    if unplaced is not None:
        known[UNPLACED.contig] = unplaced
    for count in counts:
        most = known.get(count.region.contig)
        if most is not None and count.records > most:
            raise disagreement(bam, str(count.region), count.records, most)

    told = [count for count in counts if _no_span(count) and count.region.contig in known]
    untold = [count for count in counts if count.region.whole and count.region.contig not in known]
    source = "containers" if bam.cram else "index"
    exact: list[RegionCount] = []
    agreed = []
    if told and selection.everything:
        _require(bam, told, known, selection)
        exact += told
        agreed.append(f"counts agree with the {source} of {_all(told, counts)} regions")
    if untold and not bam.cram:
        _require(bam, untold, bam.tried(partial(tally_all, bam, selection)), selection)
        exact += untold
        agreed.append(f"counts of {_all(untold, counts)} regions agree with reading the whole file")
    elif untold and selection.everything and _each_once(counts, contigs):
        in_file = _require_sum(bam, counts)
        exact += untold
        agreed.append(
            "the sum of all sequences and the unplaced records agrees with the containers of the "
            f"file: {in_file:,} records"
        )
    if len(exact) < len(counts):
        agreed.append(
            f"counts of {len(counts) - len(exact):,} regions are at most what the {source} has; "
            "nothing tells how many of those records were to be counted"
        )
    return agreed


def not_held(
    bam: IndexedBam,
    counts: Sequence[RegionCount],
    contigs: Mapping[str, Contig],
    selection: Selection,
) -> list[Region]:
    """Gives the regions whose counts check_counts() cannot hold to a number."""
    regions = [count.region for count in counts]
    if selection.everything:
        if _each_once(counts, contigs):
            return []
        return [
            region
            for region in regions
            if region.placed
            and (not region.whole or (bam.cram and contigs[region.contig].records is None))
        ]
    return [
        region
        for region in regions
        if bam.cram or not region.whole or contigs[region.contig].records is not None
    ]


def _each_once(counts: Sequence[RegionCount], contigs: Mapping[str, Contig]) -> bool:
    """Whether every record with a place is in one count."""
    placed = [count.region for count in counts if count.region.placed]
    return all(region.whole for region in placed) and sorted(
        region.contig for region in placed
    ) == sorted(contigs)


def _no_span(count: RegionCount) -> bool:
    return count.region.whole or not count.region.placed


def _all(some: Sequence[RegionCount], counts: Sequence[RegionCount]) -> str:
    return f"all {len(some):,}" if len(some) == len(counts) else f"{len(some):,}"


def _require_sum(bam: IndexedBam, counts: Sequence[RegionCount]) -> int:
    """Gives the records in the containers of a CRAM; raises InputError if they are not the counts.

    A container holds records of one sequence, or of several small ones. How many each of those has
    is not known, but what all sequences have, together with the records that have no place.
    """
    in_file = sum(container.records for container in bam.containers())
    counted = sum(count.records for count in counts)
    if all(count.region.placed for count in counts):
        counted += bam.tried(partial(count_region, bam, UNPLACED))
    if counted != in_file:
        # Not the unplaced records, all of which are at position 0.
        nowhere = bam.tried(partial(tally_before_first_position, bam))
        counted += sum(
            nowhere.get(count.region.contig, 0) for count in counts if count.region.placed
        )
    if counted != in_file:
        raise disagreement(bam, "the whole file", counted, in_file)
    return in_file


def _require(
    bam: IndexedBam,
    counts: Sequence[RegionCount],
    expected: Mapping[str, int],
    selection: Selection,
) -> None:
    """Raises InputError for the first count of a sequence that is not what it should be."""
    wrong = [count for count in counts if count.records != expected.get(count.region.contig, 0)]
    if wrong:
        nowhere = bam.tried(partial(tally_before_first_position, bam, selection))
        for count in wrong:
            name = count.region.contig
            if count.records != expected.get(name, 0) - nowhere.get(name, 0):
                raise disagreement(bam, name, count.records, expected.get(name, 0))
