"""BAM files for tests, each made of what its test cares about; the rest has defaults."""

import random
import struct
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pysam

from index_entries import bins_of
from readcount.formats.bam_index import read_index

LENGTH = 10_000
# Beyond this a CRAM is written without a reference.
MAX_REFERENCE_LENGTH = 300_000


@dataclass(frozen=True)
class Read:
    """An alignment record.

    Attributes:
        contig: name of the reference sequence that it lies on; None for no place.
        position: leftmost base, 0-based.
        cigar: None for a record without CIGAR.
        flag: SAM flags; an unplaced record is always unmapped.
        mapping_quality: MAPQ.
        read_group: its RG tag; None for a record without one.
    """

    contig: str | None
    position: int = 0
    cigar: str | None = "10M"
    flag: int = 0
    mapping_quality: int = 60
    read_group: str | None = None


def make_bam(
    path: Path,
    reads: Mapping[str, int] | None = None,
    *,
    unplaced: int = 0,
    length: int = LENGTH,
    more_header: Sequence[str] = (),
) -> Path:
    """Writes a BAM with these numbers of records on each reference sequence, and its index.

    Args:
        path: the file, or a folder, where it becomes sample.bam.
        reads: records for each reference sequence; its order is the header's.
        unplaced: number of unplaced records, after the others.
        length: of every reference sequence, in bases.
        more_header: lines to end the header with.

    Returns:
        The path of the BAM; the index is at the same path with .bai after it.
    """
    reads = reads or {}
    return write_bam(
        path,
        contigs=dict.fromkeys(reads, length),
        reads=[
            *(
                Read(contig, position=number % (length - 10))
                for contig, records in reads.items()
                for number in range(records)
            ),
            *[Read(None)] * unplaced,
        ],
        more_header=more_header,
    )


def write_bam(
    path: Path,
    contigs: Mapping[str, int],
    reads: Iterable[Read],
    *,
    more_header: Sequence[str] = (),
    csi: bool = False,
    names: Iterable[str] | None = None,
) -> Path:
    """Writes just these records, sorted, and the index; contigs gives lengths in header order.

    The index is at the same path with .bai after it, even if it is a CSI. The names of the records
    are read0, read1, ... unless there are others.
    """
    path = path / "sample.bam" if path.is_dir() else path
    header = pysam.AlignmentHeader.from_text(
        "\n".join(
            [
                "@HD\tVN:1.6\tSO:coordinate",
                *(f"@SQ\tSN:{contig}\tLN:{length}" for contig, length in contigs.items()),
                *more_header,
            ]
        )
        + "\n"
    )
    order = {contig: tid for tid, contig in enumerate(contigs)}

    def place(read: Read) -> tuple[int, int]:
        return (len(order), 0) if read.contig is None else (order[read.contig], read.position)

    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        names = names or (f"read{number}" for number in count())
        for name, read in zip(names, sorted(reads, key=place), strict=False):
            bam.write(_record(header, order, name, read))
    pysam.index("-c" if csi else "-b", str(path), f"{path}.bai")
    return path


def make_big_bam(path: Path, contigs: int, reads: int, bases: int = 0) -> Path:
    """Writes a BAM with `reads` reads on the first sequence, one more on the next, and so on.

    Written quickly: reads have `bases` bases with qualities, or none at all. The index is at the
    same path with .bai.
    """
    noise = random.Random(1).randbytes(1 << 20)
    sequence = noise.translate(b"ACGT" * 64).decode()
    qualities = noise.translate(bytes(range(33, 97)) * 4).decode()

    def of_read(number: int) -> str:
        if not bases:
            return "50M\t*\t0\t0\t*\t*"
        # Far from those of the reads before, which would be found again and left out.
        start = number * 99_991 % (len(noise) - bases)
        part = slice(start, start + bases)
        return f"{bases}M\t*\t0\t0\t{sequence[part]}\t{qualities[part]}"

    step = max(20, bases)
    names = [f"chr{number}" for number in range(1, contigs + 1)]
    command = ["samtools", "view", "-b", "-1", "-o", str(path), "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as view:
        assert view.stdin is not None
        view.stdin.writelines(f"@SQ\tSN:{name}\tLN:{step * (reads + contigs)}\n" for name in names)
        for more, name in enumerate(names):
            view.stdin.writelines(
                f"r\t0\t{name}\t{1 + step * number}\t60\t{of_read(number)}\n"
                for number in range(reads + more)
            )
    assert view.returncode == 0
    pysam.index(str(path))
    return path


def without_statistics(bam: Path) -> Path:
    """Writes an index as old versions of samtools have made it."""
    index = read_index(Path(f"{bam}.bai"))
    made = bam.parent / "old.bai"
    data = b"BAI\1" + len(index.entries).to_bytes(4, "little")
    for tid in range(len(index.entries)):
        bins = bins_of(index, tid)
        data += len(bins.bins).to_bytes(4, "little")
        for number, _, chunks in bins.bins:
            data += struct.pack(f"<II{len(chunks)}Q", number, len(chunks) // 2, *chunks)
        data += struct.pack(f"<I{len(bins.linear)}Q", len(bins.linear), *bins.linear)
    made.write_bytes(data)
    return made


def index_of(path: Path) -> Path:
    """Returns where the index is of what is written here."""
    return Path(f"{path}{'.crai' if path.suffix == '.cram' else '.bai'}")


def cram_of(bam: Path, *options: str) -> Path:
    """Writes the records of a BAM as a CRAM beside it, and its index.

    The reference that it refers to is not available, so bases cannot be decoded.

    Args:
        bam: what make_bam or write_bam has written.
        options: of samtools for the format: seqs_per_slice=2, ...; with no_ref=1 it refers to no
            reference, which records far behind the end of their sequence need.
    """
    cram, reference = bam.with_suffix(".cram"), bam.with_suffix(".fa")
    with pysam.AlignmentFile(str(bam), check_sq=False) as alignments:
        lengths = dict(zip(alignments.references, alignments.lengths, strict=True))
    if not lengths or max(lengths.values()) > MAX_REFERENCE_LENGTH:
        options = (*options, "no_ref=1")
    if "no_ref=1" not in options:
        bases = (f">{name}\n{'A' * length}\n" for name, length in lengths.items())
        reference.write_text("".join(bases))
        options = (*options, f"reference={reference}")
    formats = [part for option in options for part in ("--output-fmt-option", option)]
    # Without a line for each record whose read group is not in the header.
    view = ["samtools", "view", "--verbosity", "1", "--no-PG", "-C"]
    subprocess.run([*view, *formats, "-o", cram, bam], check=True)
    subprocess.run(["samtools", "index", cram], check=True)
    for path in (reference, Path(f"{reference}.fai")):
        path.unlink(missing_ok=True)
    return cram


def _record(
    header: pysam.AlignmentHeader, order: Mapping[str, int], name: str, read: Read
) -> pysam.AlignedSegment:
    record = pysam.AlignedSegment(header)
    record.query_name = name
    record.mapping_quality = read.mapping_quality
    if read.read_group is not None:
        record.set_tag("RG", read.read_group)
    if read.contig is None:
        record.flag = read.flag | 4
    else:
        record.flag = read.flag
        record.reference_id = order[read.contig]
        record.reference_start = read.position
        record.cigarstring = read.cigar
    return record
