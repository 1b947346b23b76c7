"""Damages a BAM and its index N times and counts each of them: `python -m fuzz N SEED`.

With `--cram` the file is a CRAM, with `--csi` the index of the BAM is a CSI, and with `--streamed`
the file is read over HTTP. Whole reference sequences are counted by default. Other modes count only
records with a minimum mapping quality (`--filtered`), thirds of each sequence (`--spans`), two
sequences and half of another one (`--some`), or windows (`--windows`), or take the counts from the
index (`--index`). In the last mode the applet also counts the records of a file as small as this
one; with `--large` it does not, as for a large file.

The results are compared with the tutorial's algorithm (one `samtools view -c` per region, checking
only the exit status) and with `samtools idxstats`, which counts only whole sequences. A run is
right if its counts match the records, refused if it ends with an error, and otherwise silently
wrong. The records are those of the original file, or those of the new file if the mutation makes a
different valid file.
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
from unittest.mock import patch

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
from readcount.source import bam_alignments, readers
from steps import ask, count_regions, files_of

# Neighbouring sequences with many, few and no records; the first ones are large enough for windows.
CONTIGS = {"chr1": 400_000, "chr2": 200_000, "empty1": 1_000, "HLA-A*01:01": 3_000}
CONTIGS |= {f"decoy{number}": 1_500 for number in range(1, 6)}
CONTIGS |= {"empty2": 1_000, "chrM": 16_569}
RECORDS = {"chr1": 3_000, "chr2": 2_000, "HLA-A*01:01": 150, "chrM": 800}
RECORDS |= {f"decoy{number}": 30 for number in range(1, 5)}
UNPLACED = 300

Counts = dict[str, int]


@dataclass(frozen=True)
class Choice:
    """What to count in a damaged file."""

    regions: tuple[Region, ...]
    request: Request = field(default_factory=ask)


def thirds() -> tuple[Region, ...]:
    """Returns three adjacent spans of each reference sequence."""
    return tuple(
        Region(contig, number * length // 3, (number + 1) * length // 3)
        for contig, length in CONTIGS.items()
        for number in range(3)
    )


def some() -> tuple[Region, ...]:
    """Returns two sequences and half of another one, as in a request for a few genes."""
    return Region("chr2"), Region("chr1", 100_000, 300_000), Region("HLA-A*01:01")


def request_for(regions: tuple[Region, ...]) -> Request:
    return ask(regions=[in_braces(region) for region in regions])


WHOLE = Choice(tuple(map(Region, CONTIGS)))
# A third of the records have a lower mapping quality.
FILTERED = Choice(WHOLE.regions, ask(min_mapping_quality=20))
INDEX = Choice(WHOLE.regions, ask(counts_from="index"))
SPANS = Choice(thirds(), request_for(thirds()))
SOME = Choice(some(), request_for(some()))
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
# Memory limit of the other tools.
MAX_KILOBYTES = 2_000_000
RIGHT, REFUSED, WRONG = "right", "refused", "silently wrong"


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        index: suffix of its index.
        mutations: damage to the file or its index, by name.
        unprovable: damage that cannot be detected in every case.
    """

    index: str
    mutations: Mapping[str, Mutation]
    unprovable: Mapping[str, Mutation]


BAM = Kind("bai", MUTATIONS, UNPROVABLE)
BAM_WITH_CSI = Kind("csi", CSI_MUTATIONS, UNPROVABLE)
CRAM = Kind("crai", CRAM_MUTATIONS, CRAM_UNPROVABLE)

# Kinds of records in a sample; see make_sample().
PLAIN, EVEN, LONG = range(3)


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("number", type=int, help="number of damaged inputs")
    parser.add_argument("seed", type=int, help="random seed")
    parser.add_argument("--keep", type=Path, default=Path(".fuzz"), help="folder for wrong inputs")
    kinds = parser.add_mutually_exclusive_group()
    for option, kind, text in (
        ("--cram", CRAM, "damage a CRAM instead of a BAM"),
        ("--csi", BAM_WITH_CSI, "damage a BAM with a CSI index"),
    ):
        kinds.add_argument(option, action="store_const", const=kind, dest="kind", help=text)
    parser.add_argument(
        "--unprovable", action="store_true", help="only damage after which file and index agree"
    )
    parser.add_argument("--streamed", action="store_true", help="read the file over HTTP")
    chosen = parser.add_mutually_exclusive_group()
    for option, choice in CHOICES.items():
        chosen.add_argument(option, action="store_const", const=choice, dest="choice")
    parser.add_argument("--large", action="store_true", help="treat the file as a large one")
    parser.set_defaults(choice=WHOLE, kind=BAM)
    arguments = vars(parser.parse_args())
    large, unprovable = arguments.pop("large"), arguments.pop("unprovable")
    if unprovable:
        kind = arguments["kind"]
        arguments["kind"] = replace(kind, mutations=kind.unprovable)
    if large:
        bam_alignments.SMALL_FILE_BYTES = bam_alignments.MIN_TRUSTED_BYTES = 0
    if arguments["streamed"]:
        # Retrying does not help against damage.
        readers.PAUSES = ()
    tally = fuzz(**arguments)
    print(table(tally))
    wrong, by_idxstats = (
        sum(number for (_, *key), number in tally.items() if key == [method, WRONG])
        for method in (OURS, IDXSTATS)
    )
    if wrong:
        print(f"{wrong} inputs were counted silently wrong; they are in {arguments['keep']}")
    # Without counting, a wrong count in the index is detected only if it is far too large.
    return 1 if wrong > (by_idxstats / 10 if large else 0) and not unprovable else 0


def fuzz(
    number: int,
    seed: int,
    keep: Path,
    kind: Kind = BAM,
    choice: Choice = WHOLE,
    streamed: bool = False,
) -> Counter[tuple[str, str, str]]:
    """Returns the number of runs by mutation, method and outcome."""
    # Forked processes skip atexit, so their temporary files are put there too.
    with tempfile.TemporaryDirectory() as name, patch.object(tempfile, "tempdir", name):
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
    """Applies one mutation to one sample and counts the result by every method."""
    tally: Counter[tuple[str, str, str]] = Counter()
    rng = random.Random(f"{seed}/{number}")
    mutation, original = rng.choice(list(kind.mutations)), rng.choice(samples)
    pair_folder = folder / str(number)
    pair = kind.mutations[mutation](original, rng)
    bam = write_pair(pair, pair_folder, kind.index)
    expected = truth_of(bam if pair.changed else original, choice)
    for method in METHODS:
        if method == IDXSTATS and choice not in (WHOLE, INDEX):
            continue
        # One call for each of more than a hundred windows would take longer than everything else.
        if method != OURS and (streamed or choice is WINDOWS):
            continue
        outcome = classify(method, bam, expected, choice, streamed)
        tally[mutation, method, outcome] += 1
        if (method, outcome) == (OURS, WRONG):
            shutil.copytree(pair_folder, keep / f"{seed}-{number}-{mutation}", dirs_exist_ok=True)
    shutil.rmtree(pair_folder)
    return tally


def truth_of(file: Path | Pair, choice: Choice) -> Counts:
    """Returns the counts computed record by record from a file that can be read to its end."""
    if isinstance(file, Pair):
        with tempfile.NamedTemporaryFile() as copy:
            copy.write(file.bam)
            copy.flush()
            return truth_of(Path(copy.name), choice)
    quality = choice.request.min_mapping_quality
    by_contig: dict[str, list[Record]] = {}
    for record in records_of(file):
        if record.mapping_quality >= quality:
            by_contig.setdefault(record.contig, []).append(record)
    return {
        str(region): sum(
            record.start < (2**31 if region.end is None else region.end)
            and record.end > (region.start or 0)
            for record in by_contig.get(region.contig, ())
        )
        for region in choice.regions
    }


def write_pair(pair: Pair, folder: Path, index: str = "bai") -> Path:
    """Writes a BAM or CRAM and its index, with this suffix, to a new folder; returns its path."""
    folder.mkdir()
    bam = folder / "damaged.bam"
    bam.write_bytes(pair.bam)
    Path(f"{bam}.{index}").write_bytes(pair.index)
    return bam


def classify(
    method: str, bam: Path, expected: Counts, choice: Choice = WHOLE, streamed: bool = False
) -> str:
    """Counts a file by one of the METHODS; returns RIGHT, REFUSED or WRONG."""
    count = partial(count_with_applet, streamed=True) if streamed else METHODS[method]
    counts = count(bam, choice)
    return REFUSED if counts is None else RIGHT if counts == expected else WRONG


def make_sample(folder: Path, kind: Kind, unplaced: int, records: int = PLAIN) -> Pair:
    """Creates a file with its index.

    Args:
        folder: where to create them.
        kind: kind of the file.
        unplaced: number of unplaced records.
        records: PLAIN: records of different sizes. EVEN: records of equal size in uncompressed
            blocks, so that most offsets in one version of the file are also offsets in another.
            LONG: as EVEN, but most records span several intervals of the index, as long reads do.
    """
    bam = folder / f"sample_{unplaced}_{records}.bam"
    lengths = random.Random(1)

    def cigar(number: int, max_length: int) -> str:
        if records == LONG:
            return f"{min(max_length, int(10 ** lengths.uniform(2, 4.8)))}M"
        return "10M" if records == EVEN or number % 50 else "9000M"

    reads = [
        Read(
            contig,
            position=(position := number * (CONTIGS[contig] - 100) // total),
            cigar=cigar(number, CONTIGS[contig] - position),
            mapping_quality=60 if number % 3 else 10,
        )
        for contig, total in RECORDS.items()
        for number in range(total)
    ]
    names = (f"read{number:05}" for number in range(100_000)) if records != PLAIN else None
    write_bam(bam, CONTIGS, [*reads, *[Read(None)] * unplaced], names=names)
    if kind.index == "crai":
        cram = cram_of(bam, *OPTIONS)
        return Pair(cram.read_bytes(), Path(f"{cram}.crai").read_bytes())
    level = 6 if records == PLAIN else 0
    bam.write_bytes(bgzf.in_small_blocks(bam.read_bytes(), BLOCK_BYTES, level))
    option = "-c" if kind.index == "csi" else "-b"
    subprocess.run(["samtools", "index", option, str(bam)], check=True)
    return Pair(bam.read_bytes(), Path(f"{bam}.{kind.index}").read_bytes())


def count_with_applet(bam: Path, choice: Choice = WHOLE, streamed: bool = False) -> Counts | None:
    """Counts in a new process, like a job: pysam does not survive hundreds of damaged files."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    job = multiprocessing.get_context("fork").Process(
        target=_count, args=[bam, choice, streamed, sender]
    )
    job.start()
    sender.close()
    try:
        counts: Counts | Exception | None = receiver.recv()
    except EOFError:
        # If the process crashes, the job fails.
        counts = None
    job.join()
    if isinstance(counts, Exception):
        raise counts
    return counts


def _count(bam: Path, choice: Choice, streamed: bool, sender: Connection) -> None:
    try:
        with start_workers(2) as workers:
            # In separate folders, as in a job: pysam loads an index that is next to a BAM, and may
            # crash if it is damaged.
            separate = bam.parent / "in" / bam.name
            separate.parent.mkdir()
            separate.symlink_to(bam)
            (index,) = bam.parent.glob(f"{bam.name}.*")
            local = nullcontext(files_of(separate, index))
            with streaming(bam, index) if streamed else local as files:
                result = count_regions(files, workers, lambda line: None, choice.request)
    except ReadCountError:
        sender.send(None)
    except Exception as error:
        sender.send(error)
    else:
        sender.send({str(count.region): count.records for count in result.counts})


def count_with_tutorial(bam: Path, choice: Choice = WHOLE) -> Counts | None:
    counts = {}
    flags = choice.request.filters.as_samtools()
    for region in choice.regions:
        is_span = region.start is not None or region.end is not None
        name = in_braces(region) if is_span else region.contig
        call = _limited("samtools", "view", "-c", *flags, str(bam), name)
        if call.returncode != 0:
            return None
        counts[str(region)] = int(call.stdout)
    return counts


def _limited(*command: str) -> "subprocess.CompletedProcess[bytes]":
    """Runs a command with limited memory: damage can make samtools allocate all of it."""
    limited = ["bash", "-c", f'ulimit -v {MAX_KILOBYTES} && exec "$@"', "", *command]
    return subprocess.run(limited, capture_output=True, check=False)


def count_with_idxstats(bam: Path, choice: Choice = WHOLE) -> Counts | None:
    call = _limited("samtools", "idxstats", str(bam))
    if call.returncode != 0:
        return None
    rows = (line.split("\t") for line in call.stdout.decode(errors="replace").splitlines())
    return {name: int(mapped) + int(unmapped) for name, _, mapped, unmapped in rows if name != "*"}


OURS, IDXSTATS = "this applet", "idxstats"
METHODS: dict[str, Callable[[Path, Choice], Counts | None]] = {
    OURS: count_with_applet,
    "the tutorial": count_with_tutorial,
    IDXSTATS: count_with_idxstats,
}


def table(tally: Counter[tuple[str, str, str]]) -> str:
    """Returns a line per mutation: right, refused and silently wrong runs of each method."""
    outcomes = (RIGHT, REFUSED, WRONG)
    mutations = sorted({mutation for mutation, _, _ in tally})
    width = max(map(len, mutations))
    heading = f"{'(right / refused / silently wrong)':{width}}"
    lines = [heading + "".join(f"{method:>18}" for method in METHODS)]
    for mutation in [*mutations, "all"]:
        line = f"{mutation:{width}}"
        for method in METHODS:
            numbers = [
                sum(tally[name, method, outcome] for name in mutations if mutation in (name, "all"))
                for outcome in outcomes
            ]
            line += f"{' / '.join(map(str, numbers)):>18}"
        lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
