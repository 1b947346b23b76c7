"""Creates the BAM and CRAM files of the benchmark, reproducibly, and keeps them for later runs."""

import os
import random
import subprocess
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate, pairwise
from pathlib import Path

# Lengths in GRCh38.
CHROMOSOMES = {
    "chr1": 248_956_422,
    "chr2": 242_193_529,
    "chr3": 198_295_559,
    "chr4": 190_214_555,
    "chr5": 181_538_259,
    "chr6": 170_805_979,
    "chr7": 159_345_973,
    "chr8": 145_138_636,
    "chr9": 138_394_717,
    "chr10": 133_797_422,
    "chr11": 135_086_622,
    "chr12": 133_275_309,
    "chr13": 114_364_328,
    "chr14": 107_043_718,
    "chr15": 101_991_189,
    "chr16": 90_338_345,
    "chr17": 83_257_441,
    "chr18": 80_373_285,
    "chr19": 58_617_616,
    "chr20": 64_444_167,
    "chr21": 46_709_983,
    "chr22": 50_818_468,
    "chrX": 156_040_895,
    "chrY": 57_227_415,
    "chrM": 16_569,
}
READ_LENGTH = 150
GENES = 10_000
EXONS_PER_GENE = 10
POOL = 1 << 22
BATCH = 10_000

# (random number generator, length of a sequence, reads) -> their sorted, 0-based positions.
Depth = Callable[[random.Random, int, int], list[int]]


def decoys_and_hla(rng: random.Random) -> dict[str, int]:
    """Returns 3,341 names and lengths like those after the chromosomes in a GRCh38 header."""
    decoys = {
        f"chrUn_JTFH{number:08}v1_decoy": rng.randint(1_000, 20_000) for number in range(1, 2_817)
    }
    hla = {
        f"HLA-{'ABC'[number % 3]}*{number // 15 + 1:02}:{number % 15 + 1:02}:01": 3_300
        for number in range(525)
    }
    return decoys | hla


def human(rng: random.Random) -> tuple[dict[str, int], dict[str, float]]:
    """Returns lengths and shares of reads: 99% on chromosomes, 1% on 2,120 other sequences."""
    others = decoys_and_hla(rng)
    shares = _by_length(CHROMOSOMES, 0.99)
    shares |= _by_length({name: others[name] for name in rng.sample(sorted(others), 2_120)}, 0.01)
    return CHROMOSOMES | others, shares


def chromosomes(rng: random.Random) -> tuple[dict[str, int], dict[str, float]]:
    """Returns lengths and shares of reads: 25 sequences only."""
    return CHROMOSOMES, _by_length(CHROMOSOMES, 1)


def contigs(rng: random.Random) -> tuple[dict[str, int], dict[str, float]]:
    """Returns lengths and shares of reads: an assembly of 200,000 contigs."""
    lengths = {f"scaffold_{number}": rng.randint(500, 20_000) for number in range(1, 200_001)}
    return lengths, _by_length(lengths, 1)


def deep(rng: random.Random) -> tuple[dict[str, int], dict[str, float]]:
    """Returns lengths and shares of reads: 90% are on chr2."""
    others = {name: length for name, length in CHROMOSOMES.items() if name != "chr2"}
    return CHROMOSOMES, _by_length(others, 0.1) | {"chr2": 0.9}


def even(rng: random.Random, length: int, reads: int) -> list[int]:
    """Returns positions with even depth, as in a whole genome."""
    return sorted(rng.choices(range(max(1, length - READ_LENGTH)), k=reads))


def peaked(rng: random.Random, length: int, reads: int) -> list[int]:
    """Returns positions with 90% on 400 targets in a fifth of the sequence, as in a panel."""
    targets = [rng.randrange(length // 2, length * 7 // 10) for _ in range(400)]
    depths = list(accumulate(rng.expovariate(1) for _ in targets))
    on_target = rng.choices(targets, cum_weights=depths, k=reads * 9 // 10)
    return sorted(
        [target + rng.randrange(300) for target in on_target]
        + rng.choices(range(length - READ_LENGTH), k=reads - len(on_target))
    )


def exons(length: int) -> list[tuple[int, int]]:
    """Returns the exome targets of a chromosome, ten per gene, 0-based and half-open."""
    rng = random.Random(f"exons {length}")
    genes = round(GENES * length / sum(CHROMOSOMES.values()))
    starts = [rng.randrange(max(1, length - 40_000)) for _ in range(genes)]
    firsts = [gene + 3_000 * number for gene in starts for number in range(EXONS_PER_GENE)]
    return sorted(
        (first, first + rng.randint(60, 300)) for first in firsts if first + 300 <= length
    )


def captured(rng: random.Random, length: int, reads: int) -> list[int]:
    """Returns positions with 80% on or next to an exon."""
    targets = exons(length)
    on_target = rng.choices(targets, k=reads * 4 // 5) if targets else []
    last = max(1, length - READ_LENGTH)
    return sorted(
        [min(last, max(0, rng.randrange(start - 100, end))) for start, end in on_target]
        + rng.choices(range(last), k=reads - len(on_target))
    )


def bed_of_exons(folder: Path) -> Path:
    """Returns a BED file of the exome targets; writes it if it does not exist."""
    path = folder / "exons.bed"
    if not path.exists():
        path.write_text(
            "".join(
                f"{name}\t{start}\t{end}\n"
                for name, length in CHROMOSOMES.items()
                for start, end in exons(length)
            )
        )
    return path


SHAPES: dict[
    str, tuple[Callable[[random.Random], tuple[dict[str, int], dict[str, float]]], Depth]
] = {
    "human": (human, even),
    "chromosomes": (chromosomes, even),
    "contigs": (contigs, even),
    "deep": (deep, peaked),
    "exome": (chromosomes, captured),
}


def bam_of_shape(shape: str, reads: int, seed: int, folder: Path) -> Path:
    """Returns an indexed BAM of one of the SHAPES; writes it if it does not exist."""
    path = folder / f"{shape}-{reads}-{seed}.bam"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        rng = random.Random(f"{shape} {reads} {seed}")
        make, depth = SHAPES[shape]
        lengths, shares = make(rng)
        unfinished = path.with_suffix(".unfinished")
        _write(unfinished, lengths, reads_per_contig(shares, reads), depth, rng)
        unfinished.rename(path)
        subprocess.run(["samtools", "index", f"-@{os.cpu_count()}", path], check=True)
    return path


def cram_of_shape(shape: str, reads: int, seed: int, folder: Path) -> Path:
    """Returns an indexed CRAM of one of the SHAPES, without a reference."""
    path = folder / f"{shape}-{reads}-{seed}.cram"
    if not path.exists():
        bam = bam_of_shape(shape, reads, seed, folder)
        unfinished = path.with_suffix(".unfinished")
        # Less verbose: the header has no @RG line, so samtools would print a warning per record.
        view = ["samtools", "view", "--verbosity", "1", f"-@{os.cpu_count()}", "-C"]
        view += ["--output-fmt-option", "no_ref=1"]
        subprocess.run([*view, "-o", unfinished, bam], check=True)
        unfinished.rename(path)
        subprocess.run(["samtools", "index", f"-@{os.cpu_count()}", path], check=True)
    return path


def _by_length(lengths: Mapping[str, int], share: float) -> dict[str, float]:
    total = sum(lengths.values())
    return {name: share * length / total for name, length in lengths.items()}


def reads_per_contig(shares: Mapping[str, float], reads: int) -> dict[str, int]:
    """Returns the number of reads on each sequence; they add up to `reads`."""
    ends = [0, *(round(reads * share) for share in accumulate(shares.values()))]
    return dict(zip(shares, (end - start for start, end in pairwise(ends)), strict=True))


def _write(
    path: Path,
    lengths: Mapping[str, int],
    reads: Mapping[str, int],
    depth: Depth,
    rng: random.Random,
) -> None:
    command = ["samtools", "view", f"-@{os.cpu_count()}", "-b", "-o", str(path), "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as view:
        assert view.stdin is not None
        view.stdin.write(b"@HD\tVN:1.6\tSO:coordinate\n")
        for name, length in lengths.items():
            view.stdin.write(f"@SQ\tSN:{name}\tLN:{length}\n".encode())
        batch: list[str] = []
        for line in _lines(lengths, reads, depth, rng):
            batch.append(line)
            if len(batch) == BATCH:
                view.stdin.write("".join(batch).encode())
                batch.clear()
        view.stdin.write("".join(batch).encode())
        view.stdin.close()
    if view.returncode != 0:
        raise RuntimeError(f"samtools could not write {path}")


def _lines(
    lengths: Mapping[str, int], reads: Mapping[str, int], depth: Depth, rng: random.Random
) -> Iterator[str]:
    # Bases and qualities are slices of long random strings: that is faster than random reads.
    bases = rng.randbytes(POOL).translate(b"ACGT" * 64).decode()
    qualities = rng.randbytes(POOL).translate(b"F" * 230 + b":" * 13 + b"," * 10 + b"###").decode()
    last = POOL - READ_LENGTH
    number = 0
    for contig, length in lengths.items():
        for position in depth(rng, length, reads.get(contig, 0)):
            number += 1
            base, quality = int(last * rng.random()), int(last * rng.random())
            yield (
                f"A00:7:HX:{base}:{number}\t99\t{contig}\t{position + 1}\t60\t150M\t=\t"
                f"{position + 250}\t400\t{bases[base : base + READ_LENGTH]}\t"
                f"{qualities[quality : quality + READ_LENGTH]}\tNM:i:0\tAS:i:150\tRG:Z:1\n"
            )
