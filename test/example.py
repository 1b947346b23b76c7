"""Writes a small example BAM of simulated paired reads, and its index."""

import argparse
import random
from pathlib import Path

import pysam

CONTIGS = {
    "chr1": 60_000,
    "chr2": 40_000,
    "chrX": 20_000,
    "chrM": 16_569,
    "HLA-A*01:01:01:01": 3_503,
    "HLA-DRB1*15:01:01:01": 11_080,
    "chrUn_decoy": 1_000,
}
PAIRS = 3_000
UNPLACED_PAIRS = 60
READ_LENGTH = 100
FRAGMENT_LENGTH = (250, 450)
LANES = ("lane1", "lane2")
# One in this many pairs is a duplicate.
PAIRS_PER_DUPLICATE = 10
SEED = 1


def main(bam: Path) -> None:
    rng = random.Random(SEED)
    header = pysam.AlignmentHeader.from_dict(
        {
            "HD": {"VN": "1.6", "SO": "coordinate"},
            "SQ": [{"SN": name, "LN": length} for name, length in CONTIGS.items()],
            "RG": [{"ID": lane, "SM": "example"} for lane in LANES],
        }
    )
    # The last sequence has no reads, as an example of a count of 0.
    names = list(CONTIGS)[:-1]
    weights = [CONTIGS[name] for name in names]
    records = []
    for number in range(PAIRS):
        contig = rng.choices(names, weights)[0]
        length = rng.randint(*FRAGMENT_LENGTH)
        start = rng.randrange(CONTIGS[contig] - length)
        records += pair(header, rng, f"read{number}", contig, start, start + length - READ_LENGTH)
        for record in records[-2:]:
            record.set_tag("RG", LANES[number % len(LANES)])
            record.is_duplicate = number % PAIRS_PER_DUPLICATE == 0
    records.sort(key=lambda record: (record.reference_id, record.reference_start))
    for number in range(UNPLACED_PAIRS):
        records += unplaced_pair(header, rng, f"unplaced{number}")

    bam.parent.mkdir(parents=True, exist_ok=True)
    with pysam.AlignmentFile(str(bam), "wb", header=header) as out:
        for record in records:
            out.write(record)
    pysam.index(str(bam))


def pair(
    header: pysam.AlignmentHeader,
    rng: random.Random,
    name: str,
    contig: str,
    first: int,
    second: int,
) -> list[pysam.AlignedSegment]:
    """Returns two mapped mates, at these 0-based positions."""
    return [
        read(
            header, rng, name, flag=0x1 | 0x2 | 0x20 | 0x40, contig=contig, start=first, mate=second
        ),
        read(
            header, rng, name, flag=0x1 | 0x2 | 0x10 | 0x80, contig=contig, start=second, mate=first
        ),
    ]


def unplaced_pair(
    header: pysam.AlignmentHeader, rng: random.Random, name: str
) -> list[pysam.AlignedSegment]:
    return [read(header, rng, name, 0x1 | 0x4 | 0x8 | end) for end in (0x40, 0x80)]


def read(
    header: pysam.AlignmentHeader,
    rng: random.Random,
    name: str,
    flag: int,
    contig: str | None = None,
    start: int = -1,
    mate: int = -1,
) -> pysam.AlignedSegment:
    record = pysam.AlignedSegment(header)
    record.query_name = name
    record.flag = flag
    record.query_sequence = "".join(rng.choices("ACGT", k=READ_LENGTH))
    record.query_qualities = pysam.qualitystring_to_array("I" * READ_LENGTH)
    if contig is not None:
        record.reference_name = record.next_reference_name = contig
        record.reference_start, record.next_reference_start = start, mate
        record.mapping_quality = 60
        record.cigarstring = f"{READ_LENGTH}M"
    return record


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bam", type=Path, help="path of the BAM; the index is written next to it")
    main(parser.parse_args().bam)
