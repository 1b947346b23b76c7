"""Files like those that other programs are reported to count incorrectly.

Each is counted with several plans, and the counts are compared with those of a decode of the whole
file. The docstrings link to the reports and say what they are about.
"""

import gzip
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pysam
import pytest

from builders import Read, cram_of, index_of, make_bam, write_bam
from fuzz import bgzf
from fuzz.mutations import offsets_of
from index_entries import bins_of
from messages import is_a_known_message
from oracle import Record, records_of
from readcount.errors import InputError
from readcount.formats.bam_index import read_index
from readcount.planning.costs import DOWNLOADED
from readcount.regions.region import Region
from readcount.verification.verify import verify
from steps import ask, count_here, opened, planned
from strategies import COUNTED, DECODED, INTERVAL

pytestmark = pytest.mark.samtools

UNMAPPED = 0x4


def overlaps(record: Record, region: Region) -> bool:
    if record.contig != region.contig or not region.placed:
        return record.contig == region.contig
    starts_before_end = region.end is None or record.start < region.end
    return starts_before_end and record.end > (region.start or 0)


def count(file: Path, index: Path | None = None, **inputs: Any) -> list[int]:
    """Returns the counts of a file after comparing those of three plans with all of its records."""
    records = records_of(file)
    for costs in (DOWNLOADED, COUNTED, DECODED):
        alignments, request = opened(file, index), ask(**inputs)
        plan = planned(alignments, request, costs=costs)
        alignments.check_index(plan.edges)
        merged = count_here(alignments, plan, request.filters)
        verified = verify(merged, alignments, request.filters)
        counts = list(verified.counts.records)
        assert counts == [
            sum(overlaps(record, region) for record in records) for region in plan.regions
        ]
    return counts


def error_message(file: Path, index: Path, **inputs: Any) -> str:
    """Returns the message with which a file is rejected, or "" if it is counted correctly."""
    try:
        count(file, index, **inputs)
    except InputError as error:
        assert is_a_known_message(str(error), "AppError")
        return str(error)
    return ""


def test_long_reads_several_containers_before_a_region_are_counted(tmp_path: Path) -> None:
    """https://github.com/samtools/samtools/issues/2285: CRAM, 2 of 44 reads missed with threads."""
    reads = [Read("chr8", 1_000, "240000M"), Read("chr8", 1_500, "9M"), Read("chr8", 1_600, "200M")]
    reads += [Read("chr8", 2_000 + 250 * number, "90M") for number in range(300)]
    reads += [Read("chr8", 200_000 + number, "90M") for number in range(40)]
    cram = cram_of(write_bam(tmp_path, {"chr8": 300_000}, reads), "no_ref=1", "seqs_per_slice=2")
    assert count(cram, regions=["chr8:150001-150100", "chr8:200001-200180"]) == [1, 41]
    count(cram, windows=20_000)


def test_a_cram_concatenated_from_parts_of_a_chromosome_is_counted(tmp_path: Path) -> None:
    """https://github.com/brentp/mosdepth/issues/143: after samtools cat, the second part is 0."""
    crams = []
    for name, first in (("one", 0), ("two", 50_000)):
        (tmp_path / name).mkdir()
        reads = [Read("1", first + 100 * number) for number in range(300)]
        bam = write_bam(tmp_path / name, {"1": 100_000, "2": 100_000}, reads)
        crams.append(cram_of(bam, "no_ref=1", "seqs_per_slice=70"))
    both = tmp_path / "both.cram"
    subprocess.run(["samtools", "cat", "-o", both, *crams], check=True)
    subprocess.run(["samtools", "index", both], check=True)
    assert count(both) == [600, 0]
    assert count(both, regions=["1:50001-80000", "1:79901-100000"]) == [300, 1]
    assert count(both, counts_from="index") == [600, 0]


def test_containers_within_the_span_of_others_are_counted(tmp_path: Path) -> None:
    """https://github.com/samtools/htslib/issues/1639: 257 of 500 reads on the whole chrM.

    https://github.com/samtools/htslib/issues/1569 is the same, for a region.
    """
    reads = [Read("chrM", 0, f"{19_154 - number // 3}M") for number in range(500)]
    bam = write_bam(tmp_path, {"chrM": 19_154, "chrN": 10_000}, [*reads, Read("chrN", 5)])
    cram = cram_of(bam, "no_ref=1", "seqs_per_slice=257")
    assert count(cram) == [500, 1]
    assert count(cram, regions=["chrM:1-19154", "chrM:19100-19154", "chrM:19154-19154"]) == [
        500,
        165,
        3,
    ]


def index_with_late_offsets(bam: Path, csi: bool) -> Path:
    """Writes an index in which offsets within a block are moved to the start of the next block."""
    subprocess.run(["samtools", "index", "-c" if csi else "-b", bam], check=True)
    path = Path(f"{bam}.{'csi' if csi else 'bai'}")
    index = read_index(path)
    bins = [bins_of(index, tid) for tid in range(len(index.entries))]
    begins = [offset for of_sequence in bins for offset in of_sequence.chunk_begins()]
    linear = [offset for of_sequence in bins for offset in of_sequence.linear]
    blocks = [offset for offset in offsets_of(bam.read_bytes()) if not offset & 0xFFFF]
    data = index.data
    for offset in {*begins, *linear}:
        if offset & 0xFFFF:
            later = min(block for block in blocks if block > offset)
            data = data.replace(struct.pack("<Q", offset), struct.pack("<Q", later))
    assert data != index.data
    path.write_bytes(gzip.compress(data) if csi else data)
    return path


@pytest.mark.parametrize("csi", [False, True])
def test_an_index_with_offsets_that_are_too_late_is_rejected(tmp_path: Path, csi: bool) -> None:
    """https://github.com/samtools/samtools/issues/687: a BAI created with threads, 274 instead
    of 1,084 reads in a region.

    https://github.com/deeptools/deepTools/issues/1039 (and samtools issue 1378): a CSI created
    while writing the BAM, 0 reads in a region.
    """
    reads = [Read(name, 80 * n, "100M") for name in ("a", "b") for n in range(1_500)]
    bam = write_bam(tmp_path, {"a": 200_000, "b": 200_000}, reads)
    bam.write_bytes(bgzf.in_small_blocks(bam.read_bytes(), 3_000))
    index = index_with_late_offsets(bam, csi)
    spans = [f"a:{at}-{at + 2_000}" for at in range(1, 119_000, 30_000)]
    assert error_message(bam, index, regions=["a"])
    assert error_message(bam, index, regions=["b"], min_mapping_quality=1)
    assert all(error_message(bam, index, regions=[span]) for span in spans)


def test_a_chromosome_that_is_too_long_for_a_bai_is_counted(tmp_path: Path) -> None:
    """https://github.com/samtools/samtools/issues/116: 14 of 352,137 reads beyond 2^29.

    https://github.com/CGATOxford/UMI-tools/issues/458 is the same.
    """
    reads = [Read("chr7", 2**29 + 1_000 * (number - 50), "90M") for number in range(200)]
    bam = write_bam(tmp_path, {"chr7": 700_000_000, "chr8": 9}, reads, csi=True)
    regions = ["chr7:536439000-600000000", "chr7:536870913-536870913", "chr7:536870903-536870912"]
    assert count(bam, regions=["chr7", *regions]) == [200, 200, 1, 0]
    assert count(cram_of(bam), regions=["chr7", *regions]) == [200, 200, 1, 0]
    Path(f"{bam}.bai").unlink()
    # The same with the usual name of a CSI.
    subprocess.run(["samtools", "index", "-c", bam], check=True)
    assert count(bam, Path(f"{bam}.csi"), regions=regions) == [200, 1, 0]


def test_reads_that_cover_no_base_are_counted_at_their_position(tmp_path: Path) -> None:
    """https://github.com/samtools/samtools/issues/1240: reads of 66P at position 1 are lost."""
    reads = [Read("chrI", 0, "66P"), Read("chrVI", 0, "66P"), Read("chrVI", 1, "66P")]
    reads += [Read("chrVI", 64, "66P"), Read("chrVI", 65, "66P"), Read("chrVI", 65, "5I")]
    bam = write_bam(tmp_path, {"chrI": 100_000, "chrVI": 100_000}, reads)
    regions = ["chrI", "chrVI", "chrI:1-1", "chrVI:1-1", "chrVI:2-65", "chrVI:66-66"]
    for file in (bam, cram_of(bam, "no_ref=1"), cram_of(bam, "no_ref=1", "multi_seq_per_slice=1")):
        assert count(file, regions=regions) == [1, 5, 1, 1, 2, 2]


@pytest.mark.parametrize("end_between", [False, True])
def test_unplaced_reads_from_a_separate_file_are_counted(tmp_path: Path, end_between: bool) -> None:
    """https://github.com/pysam-developers/pysam/issues/111: 26 million reads are not counted.

    Picard GatherBamFiles concatenates the blocks of files, with or without the empty block at the
    end of each.
    """
    bam = make_bam(tmp_path, {"chr1": 900, "chr2": 700}, unplaced=500)
    content = bgzf.content_of(bam.read_bytes())
    end = bgzf.END_OF_FILE
    parts = [content.records[:900], content.records[900:1600], content.records[1600:]]
    blocks = [replace(content, header=b"", records=part).as_bam(3_000) for part in parts]
    gathered = [block.removesuffix(end) + (end if end_between else b"") for block in blocks]
    bam.write_bytes(b"".join([bgzf.pack(content.header), *gathered]) + end)
    pysam.index(str(bam))
    for source in ("records", "index"):
        assert count(bam, include_unplaced=True, counts_from=source) == [900, 700, 500]
    assert count(bam, regions=["chr1:1-100", "chr2:600-10000"], include_unplaced=True)[2] == 500


def test_an_index_with_a_wrong_number_of_unplaced_reads_is_rejected(tmp_path: Path) -> None:
    """https://github.com/samtools/samtools/issues/283: samtools 1.0 always wrote 1."""
    bam = make_bam(tmp_path, {"chr1": 90}, unplaced=50)
    index = tmp_path / "old.bai"
    index.write_bytes(index_of(bam).read_bytes()[:-8] + (1).to_bytes(8, "little"))
    assert count(bam, index) == [90]
    for source in ("records", "index"):
        message = error_message(bam, index, include_unplaced=True, counts_from=source)
        assert "50" in message


def test_reads_spliced_over_a_region_are_counted_in_it(tmp_path: Path) -> None:
    """https://github.com/arq5x/bedtools2/issues/1001: reads spliced over a region are counted.

    The applet counts them too, like samtools view, and also reads with a deletion there
    (https://github.com/biod/sambamba/issues/198).
    """
    reads = [Read("a", 100, "50M5000N50M"), Read("a", 2_900, "50M300D50M"), Read("a", 3_000, "9M")]
    bam = write_bam(tmp_path, {"a": 10_000}, reads)
    regions = ["a:3001-3003", "a:3100-3100", "a:5201-5300"]
    for file in (bam, cram_of(bam, "no_ref=1")):
        assert count(file, regions=regions) == [3, 2, 0]
    by_samtools = [subprocess.check_output(["samtools", "view", "-c", bam, at]) for at in regions]
    assert [*map(int, by_samtools)] == [3, 2, 0]


def test_counts_do_not_depend_on_the_sizes_of_blocks(tmp_path: Path) -> None:
    """https://github.com/arq5x/bedtools2/issues/498: after a merge, 1 of 1,000 counts differs."""
    reads = [Read("a", 17 * n, f"{10 + n * 37 % 900}M", n % 2 * 0x10) for n in range(2_000)]
    bam = write_bam(tmp_path, {"a": 40_000}, reads)
    bed = tmp_path / "x.bed"
    bed.write_text("".join(f"a\t{at}\t{at + 160}\n" for at in range(0, 39_000, 37)))
    counts = []
    for size in (60_000, 9_000, 500):
        bam.write_bytes(bgzf.in_small_blocks(bam.read_bytes(), size))
        pysam.index(str(bam))
        alignments, request = opened(bam), ask()
        plan = planned(alignments, request, bed=bed, costs=DECODED)
        counts.append(list(count_here(alignments, plan).counts.records))
    assert counts[0] == counts[1] == counts[2]
    assert sum(counts[0]) > len(reads)


def test_windows_are_consecutive_without_gaps(tmp_path: Path) -> None:
    """https://github.com/deeptools/deepTools/issues/887: gaps between bins at ends of chunks."""
    lengths = {"a": 100_563, "b": 5_000, "c": 4_999, "d": 5_001}
    reads = [Read(name, at, "1M") for name in lengths for at in range(0, lengths[name], 101)]
    bam = write_bam(tmp_path, lengths, reads)
    counts = count(bam, windows=5_000)
    assert len(counts) == 21 + 1 + 1 + 2
    # Each record covers one base and therefore overlaps one window.
    assert sum(counts) == len(reads)


def test_an_alignment_with_too_many_cigar_operations_for_bam_is_counted(tmp_path: Path) -> None:
    """https://github.com/samtools/samtools/issues/1477: the CIGAR is in a tag, and a placeholder
    is in its field.
    """
    reads = [Read("a", 100, "1M1I" * 40_000), Read("a", 41_000, "9M")]
    bam = write_bam(tmp_path, {"a": 100_000}, reads)
    regions = ["a:40100-40100", "a:40101-40101", "a:20000-41005"]
    for file in (bam, cram_of(bam, "no_ref=1")):
        assert count(file, regions=regions) == [1, 0, 2]


def test_a_sequence_whose_name_looks_like_a_region_is_counted_separately(tmp_path: Path) -> None:
    """https://github.com/brentp/mosdepth/issues/230: seq:1-100 is read as a region of seq."""
    bam = make_bam(tmp_path, {"seq": 7, "seq:1-100": 5}, length=100)
    assert count(bam) == [7, 5]
    assert count(bam, regions=["{seq:1-100}", "{seq}:1-3", "seq:1-100:1-3"]) == [5, 3, 3]
    assert "also a span of another one" in error_message(bam, index_of(bam), regions=["seq:1-100"])


def test_an_index_that_points_into_an_empty_block_is_rejected(tmp_path: Path) -> None:
    """https://github.com/atgu/ukbb_pan_ancestry/issues/112: 0 rows, because a chunk ends in one.

    Empty blocks occur in concatenated files. In the wrong index, an offset points into the empty
    block instead of the block after it.
    """
    reads = [Read(name, 40 * n, "100M") for name in ("a", "b") for n in range(600)]
    bam = write_bam(tmp_path, {"a": 200_000, "b": 200_000}, reads)
    whole = bgzf.in_small_blocks(bam.read_bytes(), 3_000)
    bam.write_bytes(whole)
    pysam.index(str(bam))
    within = next(at for at in bins_of(read_index(index_of(bam)), 0).linear if at & 0xFFFF)
    place, offset = within >> 16, within & 0xFFFF
    bam.write_bytes(whole[:place] + bgzf.END_OF_FILE + whole[place:])
    pysam.index(str(bam))
    assert count(bam) == [600, 600]
    assert count(bam, regions=["a:11001-200000", "b:1-100"]) == [327, 3]
    right = struct.pack("<Q", place + len(bgzf.END_OF_FILE) << 16 | offset)
    wrong = struct.pack("<Q", place << 16 | offset)
    index = tmp_path / "wrong.bai"
    index.write_bytes(index_of(bam).read_bytes().replace(right, wrong))
    assert index.read_bytes() != index_of(bam).read_bytes()
    spans = ["a:10001-10500", "a:16001-16500", "a:20001-20500", "b:1-100"]
    rejected = [bool(error_message(bam, index, regions=[span])) for span in spans]
    assert rejected == [True, True, True, False]


def index_without_unmapped(bam: Path, tid: int) -> Path:
    """Writes an index as samtools up to 1.13 did, without unmapped records in the linear index."""
    index = index_of(bam)
    data = index.read_bytes()
    offsets = offsets_of(bam.read_bytes())
    with pysam.AlignmentFile(str(bam)) as alignments:
        records = list(alignments.fetch(until_eof=True))
    mapped = [offset for offset, record in zip(offsets, records, strict=False) if record.is_mapped]
    for offset in set(bins_of(read_index(index), tid).linear):
        later = min((start for start in mapped if start >= offset), default=offset)
        at = data.rindex(struct.pack("<Q", offset))
        data = data[:at] + struct.pack("<Q", later) + data[at + 8 :]
    old = bam.parent / "old.bai"
    old.write_bytes(data)
    assert data != index.read_bytes()
    return old


def test_unmapped_reads_at_the_start_of_a_linear_index_interval_are_counted(tmp_path: Path) -> None:
    """https://github.com/samtools/htslib/issues/1142: they are not in the linear index.

    https://github.com/biod/sambamba/issues/323: five of them at the beginning are lost.
    """
    reads = [
        read
        for at in (0, 2 * INTERVAL + 9, 4 * INTERVAL)
        for read in (Read("phix", at, None, UNMAPPED), Read("phix", at, "9M"))
    ]
    bam = write_bam(tmp_path, {"phix": 100_000}, reads)
    spans: Sequence[str] = [f"phix:{at + 1}-{at + 1}" for at in (0, 2 * INTERVAL + 9, 4 * INTERVAL)]
    old = index_without_unmapped(bam, 0)
    for index in (index_of(bam), old):
        assert count(bam, index) == [6]
        assert count(bam, index, regions=spans) == [2, 2, 2]
