"""What the counts have to be, found another way: it shares no code with the applet.

All records are read from beginning to end, without the index, and tallied by the RNAME column;
or samtools is asked for one reference sequence after the other.
A reference sequence named `*` cannot be told from no place that way; the SAM specification
(section 1.4) gives that name to the latter.
"""

import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path


def count_by_rname(bam: Path) -> Counter[str]:
    """Gives the number of records for each RNAME, `*` among them for those without a place."""
    with subprocess.Popen(["samtools", "view", str(bam)], stdout=subprocess.PIPE) as view:
        assert view.stdout is not None
        tally = Counter(line.split(b"\t", 3)[2].decode() for line in view.stdout)
    assert view.returncode == 0, f"samtools view {bam} failed"
    return tally


def count_one_by_one(bam: Path, contigs: Iterable[str]) -> list[int]:
    """Gives the answer of one `samtools view -c` for each reference sequence."""
    command = ["samtools", "view", "-c", str(bam)]
    return [int(subprocess.check_output([*command, f"{{{contig}}}"])) for contig in contigs]


def expected_count_file(bam: Path) -> str:
    """Gives the whole text of the count file that this BAM has to give."""
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
