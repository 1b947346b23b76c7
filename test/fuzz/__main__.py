"""`python -m fuzz N SEED`: damages a BAM and its index N times, and classifies every run.

With `--cram` it is a CRAM, with `--csi` the index of the BAM is a CSI, and with `--streamed` the
file is read over HTTP. It counts whole reference sequences; records of a mapping quality
(`--filtered`); thirds of sequences (`--spans`); a sequence and a part of another one (`--some`);
windows (`--windows`); or uses the counts in the index (`--index`): the records of such a small file
are then counted too, but with `--large` they are not, as in a large file.

Beside the applet's way of counting stand the tutorial's (a `samtools view -c` for each region, of
which only the exit status is looked at) and `samtools idxstats`, which knows only whole sequences.
A run is right if it gives the counts of the records by themselves, refused if it ends with an
error, and else silently wrong. The records are those of the undamaged file; where the file is
another one, and not damaged, they are its own.
"""

import argparse
import multiprocessing
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from builders import Read, cram_of, write_bam
from fuzz import bgzf
from fuzz.cram_mutations import CRAM_MUTATIONS, CRAM_UNPROVABLE, OPTIONS
from fuzz.csi_mutations import CSI_MUTATIONS
from fuzz.mutations import BLOCK_BYTES, MUTATIONS, UNPROVABLE, Mutation, Pair
from http_file import streaming
from oracle import Record, in_braces, records_of
from readcount.counting.pool import start_workers
from readcount.errors import ReadCountError
from readcount.regions.region import Region
from readcount.request.request import Request
from readcount.source import bam_evidence, readers
from steps import ask, count_regions, files_of

# Neighbours with many and few records, some without any, and one that is large enough for windows.
CONTIGS = {"chr1": 400_000, "chr2": 200_000, "empty1": 1_000, "HLA-A*01:01": 3_000}
CONTIGS |= {f"decoy{number}": 1_500 for number in range(1, 6)}
CONTIGS |= {"empty2": 1_000, "chrM": 16_569}
RECORDS = {"chr1": 3_000, "chr2": 2_000, "HLA-A*01:01": 150, "chrM": 800}
RECORDS |= {f"decoy{number}": 30 for number in range(1, 5)}
UNPLACED = 300

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


def halves() -> tuple[Region, ...]:
    """A sequence, and half of another one, as who asks for a gene wants them."""
    return Region("chr2"), Region("chr1", 100_000, 300_000), Region("HLA-A*01:01")


def asked_for(regions: tuple[Region, ...]) -> Request:
    return ask(regions=[in_braces(region) for region in regions])


WHOLE = Choice(tuple(map(Region, CONTIGS)))
# A third of the records has a lower mapping quality.
FILTERED = Choice(WHOLE.regions, ask(min_mapping_quality=20))
INDEX = Choice(WHOLE.regions, ask(counts_from="index"))
SPANS = Choice(thirds(), asked_for(thirds()))
SOME = Choice(halves(), asked_for(halves()))
WINDOWS = Choice(
    tuple(
        Region(name, start, min(start + 5_000, length))
        for name, length in CONTIGS.items()
        for start in range(0, length, 5_000)
    ),
    ask(windows=5_000),
)
CHOICES = {
    "--filtered": FILTERED,
    "--spans": SPANS,
    "--some": SOME,
    "--windows": WINDOWS,
    "--index": INDEX,
}
# Maximum memory of each of the other tools.
MOST_KILOBYTES = 2_000_000
RIGHT, REFUSED, WRONG = "right", "refused", "silently wrong"


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        index: suffix of its index.
        mutations: what can befall it.
        unprovable: what can, and is not in every case found.
    """

    index: str
    mutations: Mapping[str, Mutation]
    unprovable: Mapping[str, Mutation]


BAM = Kind("bai", MUTATIONS, UNPROVABLE)
BAM_WITH_CSI = Kind("csi", CSI_MUTATIONS, UNPROVABLE)
CRAM = Kind("crai", CRAM_MUTATIONS, CRAM_UNPROVABLE)

# What the records of a sample are like.
PLAIN, EVEN, LONG = range(3)


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("number", type=int, help="how many damaged inputs to try")
    parser.add_argument("seed", type=int, help="what decides all chances")
    parser.add_argument("--keep", type=Path, default=Path(".fuzz"), help="where wrong ones go")
    kinds = parser.add_mutually_exclusive_group()
    for option, kind, what in (
        ("--cram", CRAM, "damage a CRAM instead of a BAM"),
        ("--csi", BAM_WITH_CSI, "damage a BAM with a CSI index"),
    ):
        kinds.add_argument(option, action="store_const", const=kind, dest="kind", help=what)
    parser.add_argument(
        "--unprovable", action="store_true", help="damage both, so that file and index agree"
    )
    parser.add_argument("--streamed", action="store_true", help="read the file over HTTP")
    chosen = parser.add_mutually_exclusive_group()
    for option, choice in CHOICES.items():
        chosen.add_argument(option, action="store_const", const=choice, dest="choice")
    parser.add_argument("--large", action="store_true", help="take the file for a large one")
    parser.set_defaults(choice=WHOLE, kind=BAM)
    arguments = vars(parser.parse_args())
    large, unprovable = arguments.pop("large"), arguments.pop("unprovable")
    if unprovable:
        kind = arguments["kind"]
        arguments["kind"] = replace(kind, mutations=kind.unprovable)
    if large:
        bam_evidence.SMALL_FILE_BYTES = bam_evidence.MIN_TRUSTED_BYTES = 0
    if arguments["streamed"]:
        # What is damaged stays so.
        readers.PAUSES = ()
    tally = fuzz(**arguments)
    print(table(tally))
    wrong, by_idxstats = (
        sum(number for (_, one, what), number in tally.items() if (one, what) == (way, WRONG))
        for way in (OURS, IDXSTATS)
    )
    if wrong:
        print(f"{wrong} inputs came out silently wrong; they are in {arguments['keep']}")
    # Without counting, a wrong number in the index shows only if it is far too large.
    return 1 if wrong > (by_idxstats / 10 if large else 0) and not unprovable else 0


def fuzz(
    number: int,
    seed: int,
    keep: Path,
    kind: Kind = BAM,
    choice: Choice = WHOLE,
    streamed: bool = False,
) -> Counter[tuple[str, str, str]]:
    """Returns how many runs ended how, by mutation, way of counting, and what came of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = [
            make_sample(folder, kind, unplaced, records)
            for unplaced in (UNPLACED, 0)
            for records in (PLAIN, EVEN, LONG)
        ]
        attempt = partial(_attempt, folder, samples, kind, choice, streamed, seed, keep)
        with ThreadPoolExecutor(multiprocessing.cpu_count()) as threads:
            return sum(threads.map(attempt, range(number)), Counter())


def _attempt(
    folder: Path,
    samples: list[Pair],
    kind: Kind,
    choice: Choice,
    streamed: bool,
    seed: int,
    keep: Path,
    number: int,
) -> Counter[tuple[str, str, str]]:
    """Damages a sample in one way, and counts it in every way."""
    tally: Counter[tuple[str, str, str]] = Counter()
    rng = random.Random(f"{seed}/{number}")
    mutation, whole = rng.choice(list(kind.mutations)), rng.choice(samples)
    place = folder / str(number)
    pair = kind.mutations[mutation](whole, rng)
    bam = write_pair(pair, place, kind.index)
    expected = truth_of(bam if pair.changed else whole, choice)
    for way in WAYS:
        if way == IDXSTATS and choice not in (WHOLE, INDEX):
            continue
        # A call for each of more than a hundred windows takes longer than all else.
        if way != OURS and (streamed or choice is WINDOWS):
            continue
        what = classify(way, bam, expected, choice, streamed)
        tally[mutation, way, what] += 1
        if (way, what) == (OURS, WRONG):
            shutil.copytree(place, keep / f"{seed}-{number}-{mutation}", dirs_exist_ok=True)
    shutil.rmtree(place)
    return tally


def truth_of(file: Path | Pair, choice: Choice) -> Counts:
    """Returns what each record by itself counts for, of a file that can be read to its end."""
    if isinstance(file, Pair):
        with tempfile.NamedTemporaryFile() as copy:
            copy.write(file.bam)
            copy.flush()
            return truth_of(Path(copy.name), choice)
    quality = choice.request.min_mapping_quality
    on: dict[str, list[Record]] = {}
    for record in records_of(file):
        if record.mapping_quality >= quality:
            on.setdefault(record.contig, []).append(record)
    return {
        str(region): sum(
            record.start < (2**31 if region.end is None else region.end)
            and record.end > (region.start or 0)
            for record in on.get(region.contig, ())
        )
        for region in choice.regions
    }


def write_pair(pair: Pair, folder: Path, index: str = "bai") -> Path:
    """Writes a BAM or CRAM, and its index with that suffix, into a new folder."""
    folder.mkdir()
    bam = folder / "damaged.bam"
    bam.write_bytes(pair.bam)
    Path(f"{bam}.{index}").write_bytes(pair.index)
    return bam


def classify(
    way: str, bam: Path, expected: Counts, choice: Choice = WHOLE, streamed: bool = False
) -> str:
    """Counts a BAM in one of the WAYS, and says what came of it."""
    count = partial(count_as_the_applet, streamed=True) if streamed else WAYS[way]
    counts = count(bam, choice)
    return REFUSED if counts is None else RIGHT if counts == expected else WRONG


def make_sample(folder: Path, kind: Kind, unplaced: int, records: int = PLAIN) -> Pair:
    """A file with its index.

    Args:
        folder: where to make it.
        kind: of the file.
        unplaced: records without a position.
        records: EVEN for records of one size in blocks that are not compressed, so that an offset
            of one version of the file is mostly one of another version, too. LONG for such ones
            most of which cover several intervals of the index, as long reads do.
    """
    bam = folder / f"sample_{unplaced}_{records}.bam"
    lengths = random.Random(1)

    def cigar(number: int, left: int) -> str:
        if records == LONG:
            return f"{min(left, int(10 ** lengths.uniform(2, 4.8)))}M"
        return "10M" if records == EVEN or number % 50 else "9000M"

    reads = [
        Read(
            contig,
            position=(position := number * (CONTIGS[contig] - 100) // on_it),
            cigar=cigar(number, CONTIGS[contig] - position),
            mapping_quality=60 if number % 3 else 10,
        )
        for contig, on_it in RECORDS.items()
        for number in range(on_it)
    ]
    names = (f"read{number:05}" for number in range(100_000)) if records != PLAIN else None
    write_bam(bam, CONTIGS, [*reads, *[Read(None)] * unplaced], names=names)
    if kind.index == "crai":
        made = cram_of(bam, *OPTIONS)
        return Pair(made.read_bytes(), Path(f"{made}.crai").read_bytes())
    level = 6 if records == PLAIN else 0
    bam.write_bytes(bgzf.in_small_blocks(bam.read_bytes(), BLOCK_BYTES, level))
    option = "-c" if kind.index == "csi" else "-b"
    subprocess.run(["samtools", "index", option, str(bam)], check=True)
    return Pair(bam.read_bytes(), Path(f"{bam}.{kind.index}").read_bytes())


def count_as_the_applet(bam: Path, choice: Choice = WHOLE, streamed: bool = False) -> Counts | None:
    """In a process of its own, as a job is: pysam does not survive hundreds of damaged files."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    job = multiprocessing.get_context("fork").Process(
        target=_count, args=[bam, choice, streamed, sender]
    )
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


def _count(bam: Path, choice: Choice, streamed: bool, sender: Connection) -> None:
    try:
        with start_workers(2) as workers:
            # Apart, as they are in a job: pysam loads an index that it finds beside a BAM, and may
            # crash if it is damaged.
            alone = bam.parent / "in" / bam.name
            alone.parent.mkdir()
            alone.symlink_to(bam)
            (index,) = bam.parent.glob(f"{bam.name}.*")
            local = nullcontext(files_of(alone, index))
            with streaming(bam, index) if streamed else local as files:
                result = count_regions(files, workers, lambda line: None, choice.request)
    except ReadCountError:
        sender.send(None)
    except Exception as error:
        sender.send(error)
    else:
        sender.send({str(count.region): count.records for count in result.counts})


def count_as_the_tutorial(bam: Path, choice: Choice = WHOLE) -> Counts | None:
    counts = {}
    flags = choice.request.filters.as_samtools()
    for region in choice.regions:
        name = region.contig if region.whole else in_braces(region)
        call = _limited("samtools", "view", "-c", *flags, str(bam), name)
        if call.returncode != 0:
            return None
        counts[str(region)] = int(call.stdout)
    return counts


def _limited(*command: str) -> "subprocess.CompletedProcess[bytes]":
    """Runs a command with limited memory: of some damage samtools wants all that there is."""
    limited = ["bash", "-c", f'ulimit -v {MOST_KILOBYTES} && exec "$@"', "", *command]
    return subprocess.run(limited, capture_output=True, check=False)


def count_as_idxstats(bam: Path, choice: Choice = WHOLE) -> Counts | None:
    call = _limited("samtools", "idxstats", str(bam))
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
