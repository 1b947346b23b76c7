"""Expected counts, determined independently of the applet, which shares no code that counts.

Records are read from the whole file, without the index, and counted by RNAME; or samtools counts
each reference sequence in a separate call. A reference sequence named `*` cannot be distinguished
from unplaced records in this way: the SAM specification (section 1.4) reserves `*` for these.
"""

import re
import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from readcount.regions.region import Region
from readcount.request.filters import NO_FILTERS, Filters


def count_by_rname(bam: Path) -> Counter[str]:
    """Returns the number of records of each RNAME, including `*` for unplaced records."""
    with subprocess.Popen(["samtools", "view", str(bam)], stdout=subprocess.PIPE) as view:
        assert view.stdout is not None
        tally = Counter(line.split(b"\t", 3)[2].decode() for line in view.stdout)
    assert view.returncode == 0, f"samtools view {bam} failed"
    return tally


def count_one_by_one(bam: Path, contigs: Iterable[str]) -> list[int]:
    """Returns the count of each reference sequence from a separate `samtools view -c`."""
    command = ["samtools", "view", "-c", str(bam)]
    return [int(subprocess.check_output([*command, f"{{{contig}}}"])) for contig in contigs]


def expected_count_file(bam: Path) -> str:
    """Returns the complete text of the count file expected for a BAM."""
    tally = count_by_rname(bam)
    text = ""
    total = 0
    for contig in _contigs(bam):
        text += f"Region {contig}: {tally[contig]}\n"
        total += tally[contig]
    return text + f"Total reads: {total}"


def _contigs(bam: Path) -> list[str]:
    header = subprocess.run(
        ["samtools", "view", "-H", str(bam)], stdout=subprocess.PIPE, check=True
    ).stdout.decode()
    contigs = []
    for line in header.split("\n"):
        kind, *fields = line.split("\t")
        if kind == "@SQ":
            contigs += [field[3:] for field in fields if field.startswith("SN:")]
    return contigs


def in_braces(region: Region) -> str:
    """Returns a region in samtools syntax, with its name in braces so that any name is valid."""
    return f"{{{region.contig}}}{str(region).removeprefix(region.contig)}"


@dataclass(frozen=True)
class Record:
    """The fields that determine whether a record counts, from a line of SAM text.

    Attributes:
        contig: RNAME.
        start: POS, but 0-based.
        end: exclusive end of the positions that CIGAR covers, at least start + 1.
        flag: FLAG.
        mapping_quality: MAPQ.
        read_group: value of the RG tag; None without one.
    """

    contig: str
    start: int
    end: int
    flag: int
    mapping_quality: int
    read_group: str | None


def records_of(alignments: Path) -> list[Record]:
    """Returns all records of a SAM, BAM or CRAM file."""
    lines = subprocess.check_output(["samtools", "view", str(alignments)]).decode().splitlines()
    return [_record(line.split("\t")) for line in lines]


def _record(fields: list[str]) -> Record:
    flag, start = int(fields[1]), int(fields[3]) - 1
    operations = re.findall(r"(\d+)([MIDNSHP=X])", fields[5])
    covered = sum(int(number) for number, kind in operations if kind in "MDN=X")
    if flag & 0x4:
        covered = 0
    groups = [field[5:] for field in fields[11:] if field.startswith("RG:Z:")]
    return Record(
        contig=fields[2],
        start=start,
        end=start + max(1, covered),
        flag=flag,
        mapping_quality=int(fields[4]),
        read_group=groups[0] if groups else None,
    )


def count_records(
    records: Iterable[Record], regions: Iterable[Region], filters: Filters = NO_FILTERS
) -> list[int]:
    """Returns, for each region, the number of records that overlap it and pass the filters."""
    passing = [record for record in records if _passes(record, filters)]
    return [sum(_overlaps(record, region) for record in passing) for region in regions]


def _passes(record: Record, filters: Filters) -> bool:
    return (
        record.mapping_quality >= filters.min_mapping_quality
        and record.flag & filters.require_flags == filters.require_flags
        and not record.flag & filters.exclude_flags
        and (not filters.read_groups or record.read_group in filters.read_groups)
    )


def _overlaps(record: Record, region: Region) -> bool:
    if not region.placed or record.contig != region.contig:
        return record.contig == region.contig
    end = region.end is None or record.start < region.end
    return end and record.end > (region.start or 0)
