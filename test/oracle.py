"""What the counts have to be, found another way: it shares no code with the applet.

All records are read from beginning to end, without the index, and tallied by the RNAME column;
or samtools is asked for one reference sequence after the other.
A reference sequence named `*` cannot be told from no place that way; the SAM specification
(section 1.4) gives that name to the latter.
"""

import re
import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from readcount.regions.region import Region


def count_by_rname(bam: Path) -> Counter[str]:
    """Returns the number of records of each RNAME, including `*` for unplaced records."""
    with subprocess.Popen(["samtools", "view", str(bam)], stdout=subprocess.PIPE) as view:
        assert view.stdout is not None
        tally = Counter(line.split(b"\t", 3)[2].decode() for line in view.stdout)
    assert view.returncode == 0, f"samtools view {bam} failed"
    return tally


def count_one_by_one(bam: Path, contigs: Iterable[str]) -> list[int]:
    """Returns the answer of one `samtools view -c` for each reference sequence."""
    command = ["samtools", "view", "-c", str(bam)]
    return [int(subprocess.check_output([*command, f"{{{contig}}}"])) for contig in contigs]


def expected_count_file(bam: Path) -> str:
    """Returns the whole text of the count file that this BAM has to give."""
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
    """Returns a region in samtools syntax, for any name."""
    return f"{{{region.contig}}}{str(region).removeprefix(region.contig)}"


@dataclass(frozen=True)
class Record:
    """What decides whether a record counts, as its line of SAM text has it.

    Attributes:
        contig: RNAME.
        start: POS, but 0-based.
        end: behind the last position that CIGAR covers; a record covers one at least.
        flag: FLAG.
        mapping_quality: MAPQ.
        read_group: of the RG tag.
    """

    contig: str
    start: int
    end: int
    flag: int
    mapping_quality: int
    read_group: str | None


def records_of(alignments: Path) -> list[Record]:
    """Returns every record of a SAM or BAM file."""
    lines = subprocess.check_output(["samtools", "view", str(alignments)]).decode().splitlines()
    return [_record(line.split("\t")) for line in lines]


def _record(fields: list[str]) -> Record:
    flag, start = int(fields[1]), int(fields[3]) - 1
    steps = re.findall(r"(\d+)([MIDNSHP=X])", fields[5])
    covered = sum(int(number) for number, kind in steps if kind in "MDN=X")
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
