"""`python -m fuzz N SEED`: damages a BAM and its index N times, and classifies every run.

With `--cram` it is a CRAM. With `--filtered` or `--spans` the index has no number for what is
counted: records of a selection, to which all of them belong, or thirds of the sequences. With
`--index` the applet takes the counts from the index; the records of a file this small are then
counted, too, but with `--large` they are not, as of a large file.

Beside the applet's way of counting stand the tutorial's (a `samtools view -c` for each reference
sequence, of which only the exit status is looked at) and `samtools idxstats`. A run is right if it
gives the counts of the undamaged file, refused if it ends with an error, and else silently wrong.
`samtools idxstats` knows only whole sequences.
"""

import argparse
import multiprocessing
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import pysam

from builders import Read, cram_of, write_bam
from fuzz import bgzf
from fuzz.cram_mutations import CRAM_MUTATIONS
from fuzz.mutations import MUTATIONS, Pair
from oracle import count_by_rname
from readcount.counting.pool import start_workers
from readcount.errors import ReadCountError
from readcount.request.region import Region
from readcount.request.request import Request
from readcount.source import bam as source_bam
from steps import ask, count_from_index, count_regions, files_of

# Neighbours with many and few records, some without any, and one that is large enough for windows.
CONTIGS = {"chr1": 400_000, "chr2": 200_000, "empty1": 1_000, "HLA-A*01:01": 3_000}
CONTIGS |= {f"decoy{number}": 1_500 for number in range(1, 6)}
CONTIGS |= {"empty2": 1_000, "chrM": 16_569}
RECORDS = {"chr1": 3_000, "chr2": 2_000, "HLA-A*01:01": 150, "chrM": 800}
RECORDS |= {f"decoy{number}": 30 for number in range(1, 5)}
UNPLACED = 300
# Small blocks, so that there are many of them to be damaged.
BLOCK_BYTES = 12_000

Counts = dict[str, int]


@dataclass(frozen=True)
class Choice:
    """What to count of a damaged file."""

    regions: tuple[Region, ...]
    request: Request = field(default_factory=ask)


def thirds() -> tuple[Region, ...]:
    """Three spans of each reference sequence, side by side."""
    return tuple(
        Region(contig, number * length // 3, (number + 1) * length // 3)
        for contig, length in CONTIGS.items()
        for number in range(3)
    )


WHOLE = Choice(tuple(map(Region, CONTIGS)))
# No record of a sample has an unmapped mate.
FILTERED = Choice(WHOLE.regions, ask(exclude_flags="MUNMAP"))
INDEX = Choice(WHOLE.regions, ask(counts_from="index"))
SPANS = Choice(thirds(), ask(regions=[region.as_samtools() for region in thirds()]))
RIGHT, REFUSED, WRONG = "right", "refused", "silently wrong"


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("number", type=int, help="how many damaged inputs to try")
    parser.add_argument("seed", type=int, help="what decides all chances")
    parser.add_argument("--keep", type=Path, default=Path(".fuzz"), help="where wrong ones go")
    parser.add_argument("--cram", action="store_true", help="damage a CRAM instead of a BAM")
    chosen = parser.add_mutually_exclusive_group()
    for option, choice in {"--filtered": FILTERED, "--spans": SPANS, "--index": INDEX}.items():
        chosen.add_argument(option, action="store_const", const=choice, dest="choice")
    parser.add_argument("--large", action="store_true", help="take the file for a large one")
    parser.set_defaults(choice=WHOLE)
    arguments = vars(parser.parse_args())
    large = arguments.pop("large")
    if large:
        source_bam.SMALL_BYTES = 0
    tally = fuzz(**arguments)
    print(table(tally))
    wrong, by_idxstats = (
        sum(number for (_, one, what), number in tally.items() if (one, what) == (way, WRONG))
        for way in (OURS, IDXSTATS)
    )
    if wrong:
        print(f"{wrong} inputs came out silently wrong; they are in {arguments['keep']}")
    # Without counting, a wrong number in the index shows only if it is far too large.
    return 1 if wrong > (by_idxstats / 10 if large else 0) else 0


def fuzz(
    number: int, seed: int, keep: Path, cram: bool = False, choice: Choice = WHOLE
) -> Counter[tuple[str, str, str]]:
    """Gives how many runs ended how, by mutation, way of counting, and what came of it."""
    tally: Counter[tuple[str, str, str]] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mutations = CRAM_MUTATIONS if cram else MUTATIONS
        make = cram_sample if cram else sample
        samples = [
            make(folder / "some_unplaced.bam", UNPLACED, choice=choice),
            make(folder / "none.bam", 0, choice=choice),
        ]
        for attempt in range(number):
            rng = random.Random(f"{seed}/{attempt}")
            mutation = rng.choice(list(mutations))
            pair, expected = rng.choice(samples)
            place = folder / str(attempt)
            bam = write_pair(mutations[mutation](pair, rng), place, "crai" if cram else "bai")
            for way in WAYS:
                if way == IDXSTATS and choice not in (WHOLE, INDEX):
                    continue
                what = classify(way, bam, expected, choice)
                tally[mutation, way, what] += 1
                if (way, what) == (OURS, WRONG):
                    shutil.copytree(place, keep / f"{seed}-{attempt}-{mutation}")
            shutil.rmtree(place)
    return tally


def write_pair(pair: Pair, folder: Path, index: str = "bai") -> Path:
    """Writes a BAM or CRAM, and its index with that suffix, into a new folder."""
    folder.mkdir()
    bam = folder / "damaged.bam"
    bam.write_bytes(pair.bam)
    Path(f"{bam}.{index}").write_bytes(pair.index)
    return bam


def classify(way: str, bam: Path, expected: Counts, choice: Choice = WHOLE) -> str:
    """Counts a BAM in one of the WAYS, and says what came of it."""
    counts = WAYS[way](bam, choice)
    return REFUSED if counts is None else RIGHT if counts == expected else WRONG


def sample(bam: Path, unplaced: int, fewer: int = 0, choice: Choice = WHOLE) -> tuple[Pair, Counts]:
    """A BAM with its index, and its counts as they are found without the index."""
    reads = [
        Read(contig, position=number * (CONTIGS[contig] - 100) // records)
        for contig, records in RECORDS.items()
        for number in range(records - fewer)
    ]
    write_bam(bam, CONTIGS, [*reads, *[Read(None)] * unplaced])
    bam.write_bytes(bgzf.in_small_blocks(bam.read_bytes(), BLOCK_BYTES))
    subprocess.run(["samtools", "index", str(bam)], check=True)
    if choice is SPANS:
        with pysam.AlignmentFile(str(bam)) as alignments:
            placed = [
                (record.reference_name, record.reference_start, record.reference_end or 0)
                for record in alignments
                if record.reference_name
            ]
        spans = [(span.contig, span.start or 0, span.end or 0) for span in choice.regions]
        counts = {
            str(region): sum(
                contig == name and begin < end and behind > start for name, begin, behind in placed
            )
            for region, (contig, start, end) in zip(choice.regions, spans, strict=True)
        }
    else:
        tally = count_by_rname(bam)
        counts = {contig: tally[contig] for contig in CONTIGS}
    return Pair(bam.read_bytes(), Path(f"{bam}.bai").read_bytes()), counts


def cram_sample(bam: Path, unplaced: int, choice: Choice = WHOLE) -> tuple[Pair, Counts]:
    """The records of a sample as a CRAM of many containers."""
    _, counts = sample(bam, unplaced, choice=choice)
    cram = cram_of(bam, "no_ref=1", "seqs_per_slice=300", "slices_per_container=2")
    return Pair(cram.read_bytes(), Path(f"{cram}.crai").read_bytes()), counts


def count_as_the_applet(bam: Path, choice: Choice = WHOLE) -> Counts | None:
    """In a process of its own, as a job is: pysam does not survive hundreds of damaged files."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    job = multiprocessing.get_context("fork").Process(target=_count, args=[bam, choice, sender])
    job.start()
    sender.close()
    try:
        counts: Counts | Exception | None = receiver.recv()
    except EOFError:
        # A job whose process crashed has failed, too.
        counts = None
    job.join()
    if isinstance(counts, Exception):
        raise counts
    return counts


def _count(bam: Path, choice: Choice, sender: Connection) -> None:
    try:
        with start_workers(2) as workers:
            # Apart, as they are in a job: pysam loads an index that it finds beside a BAM, and may
            # crash if it is damaged.
            alone = bam.parent / "in" / bam.name
            alone.parent.mkdir()
            alone.symlink_to(bam)
            (index,) = bam.parent.glob(f"{bam.name}.*")
            files = files_of(alone, index)
            if choice.request.from_index:
                counts = count_from_index(files, choice.request)
            else:
                counts = count_regions(files, workers, lambda line: None, choice.request)
    except ReadCountError:
        sender.send(None)
    except Exception as error:
        sender.send(error)
    else:
        sender.send({str(count.region): count.records for count in counts.regions})


def count_as_the_tutorial(bam: Path, choice: Choice = WHOLE) -> Counts | None:
    counts = {}
    flags = ["-F", str(choice.request.filters.exclude_flags)]
    for region in choice.regions:
        name = region.contig if region.whole else region.as_samtools()
        call = subprocess.run(
            ["samtools", "view", "-c", *flags, str(bam), name], capture_output=True, check=False
        )
        if call.returncode != 0:
            return None
        counts[str(region)] = int(call.stdout)
    return counts


def count_as_idxstats(bam: Path, choice: Choice = WHOLE) -> Counts | None:
    call = subprocess.run(["samtools", "idxstats", str(bam)], capture_output=True, check=False)
    if call.returncode != 0:
        return None
    rows = (line.split("\t") for line in call.stdout.decode(errors="replace").splitlines())
    return {name: int(mapped) + int(unmapped) for name, _, mapped, unmapped in rows if name != "*"}


OURS, IDXSTATS = "this applet", "idxstats"
WAYS: dict[str, Callable[[Path, Choice], Counts | None]] = {
    OURS: count_as_the_applet,
    "the tutorial": count_as_the_tutorial,
    IDXSTATS: count_as_idxstats,
}


def table(tally: Counter[tuple[str, str, str]]) -> str:
    """A line for each mutation: right, refused and silently wrong runs of each way."""
    kinds = (RIGHT, REFUSED, WRONG)
    mutations = sorted({mutation for mutation, _, _ in tally})
    width = max(map(len, mutations))
    lines = [f"{'(right / refused / silently wrong)':{width}}" + "".join(f"{w:>18}" for w in WAYS)]
    for mutation in [*mutations, "all"]:
        line = f"{mutation:{width}}"
        for way in WAYS:
            numbers = [
                sum(tally[name, way, kind] for name in mutations if mutation in (name, "all"))
                for kind in kinds
            ]
            line += f"{' / '.join(map(str, numbers)):>18}"
        lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
