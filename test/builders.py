"""Creates BAM and CRAM files for tests; everything that a test does not specify has a default."""

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
# For longer sequences a CRAM is written without a reference.
MAX_REFERENCE_LENGTH = 300_000


@dataclass(frozen=True)
class Read:
    """An alignment record.

    Attributes:
        contig: name of its reference sequence; None if it is unplaced.
        position: leftmost base, 0-based.
        cigar: CIGAR; None for a record without one.
        flag: FLAG; the unmapped bit is always set for an unplaced record.
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
    """Writes a BAM with a given number of records on each reference sequence, and its index.

    Args:
        path: the file, or a folder in which to write sample.bam.
        reads: number of records by reference sequence, in header order.
        unplaced: number of unplaced records at the end.
        length: length of every reference sequence in bases.
        more_header: further header lines, at the end.

    Returns:
        The path of the BAM. The index has the same path with .bai appended.
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
    """Writes these records to a BAM, sorted, and its index.

    Args:
        path: the file, or a folder in which to write sample.bam.
        contigs: length by reference sequence, in header order.
        reads: the records.
        more_header: further header lines, at the end.
        csi: whether to write a CSI index; its name also ends with .bai.
        names: read names in sorted order; default: read0, read1, ...

    Returns:
        The path of the BAM. The index has the same path with .bai appended.
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
    """Quickly writes a BAM with many reads, and its index.

    Args:
        path: the file.
        contigs: number of reference sequences.
        reads: number of reads on the first sequence; each further sequence has one more.
        bases: length of each read; 0 for reads of 50 bases without SEQ and QUAL.

    Returns:
        The path of the BAM. The index has the same path with .bai appended.
    """
    noise = random.Random(1).randbytes(1 << 20)
    sequence = noise.translate(b"ACGT" * 64).decode()
    qualities = noise.translate(bytes(range(33, 97)) * 4).decode()

    def last_fields(number: int) -> str:
        if not bases:
            return "50M\t*\t0\t0\t*\t*"
        # Far from the bases of preceding reads: deflate would compress repeats.
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
                f"r\t0\t{name}\t{1 + step * number}\t60\t{last_fields(number)}\n"
                for number in range(reads + more)
            )
    assert view.returncode == 0
    pysam.index(str(path))
    return path


def without_statistics(bam: Path) -> Path:
    """Writes the BAI without statistics, as old versions of samtools did; returns its path."""
    index = read_index(Path(f"{bam}.bai"))
    path = bam.parent / "old.bai"
    data = b"BAI\1" + len(index.entries).to_bytes(4, "little")
    for tid in range(len(index.entries)):
        bins = bins_of(index, tid)
        data += len(bins.bins).to_bytes(4, "little")
        for number, _, chunks in bins.bins:
            data += struct.pack(f"<II{len(chunks)}Q", number, len(chunks) // 2, *chunks)
        data += struct.pack(f"<I{len(bins.linear)}Q", len(bins.linear), *bins.linear)
    path.write_bytes(data)
    return path


def index_of(path: Path) -> Path:
    """Returns the path of the index of a BAM or CRAM written by this module."""
    return Path(f"{path}{'.crai' if path.suffix == '.cram' else '.bai'}")


def cram_of(bam: Path, *options: str) -> Path:
    """Converts a BAM to CRAM in the same folder, with an index.

    The reference is removed afterwards, so that bases cannot be decoded.

    Args:
        bam: a BAM written by this module.
        options: format options of samtools, such as seqs_per_slice=2. no_ref=1 writes a CRAM
            without a reference; records far beyond the end of their sequence require this.
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
    # Suppresses a warning for each record whose read group is not in the header.
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
