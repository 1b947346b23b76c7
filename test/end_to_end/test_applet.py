"""The applet built by `dx build` and run by `dx run`: its counts, files and error messages."""

import gzip
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import Read, cram_of, make_bam, make_big_bam, write_bam
from dx_client import Applet, Dx, files_of
from oracle import expected_count_file

APPLET = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"


def test_the_count_file_equals_the_golden_file(applet: Applet, tmp_path: Path) -> None:
    bam = make_bam(tmp_path / "three.bam", {"chr1": 3, "HLA-A*01:01": 2, "chrM": 0}, unplaced=4)

    run = applet.run(bam, Path(f"{bam}.bai"))

    assert run.state == "done"
    assert run.produced == files_of("three")
    assert run.count_file == (GOLDEN / "three_contigs_count.txt").read_text()


# Valid BAM files with unusual contents.
BAMS: dict[str, Callable[[Path], Path]] = {
    "no_reference_sequences": lambda folder: make_bam(folder / "x.bam", {}, unplaced=3),
    "no_records": lambda folder: make_bam(folder / "x.bam", {"chr1": 0, "chr2": 0}),
    "special_characters_in_names_and_SN_in_other_header_lines": lambda folder: make_bam(
        folder / "x.bam",
        {"a:b": 1, "*x": 2, "c,d": 3, "{": 4, "}": 5, ".": 6, "{chr1}": 7, "chr1": 8}
        | {"chr1:1-100": 9},
        more_header=["@PG\tID:x\tCL:make SN:chr7", "@CO\tSN:chr8\tLN:5"],
    ),
    "secondary_supplementary_duplicate_unmapped_and_unplaced_records": lambda folder: write_bam(
        folder / "x.bam",
        contigs={"chr1": 1000, "chr2": 1000},
        reads=[
            Read("chr1", 10, flag=0x100),
            Read("chr1", 20, flag=0x800),
            Read("chr1", 30, flag=0x400),
            Read("chr1", 40, flag=0x4, cigar=None),
            Read("chr2", 995),
            Read(None),
        ],
    ),
}


@pytest.mark.parametrize("write", BAMS.values(), ids=BAMS.keys())
def test_the_counts_match_a_scan_of_the_whole_file(
    applet: Applet, tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    bam = write(tmp_path)
    run = applet.run(bam, Path(f"{bam}.bai"))
    assert run.state == "done", run.log
    assert run.count_file == expected_count_file(bam)


@pytest.mark.parametrize(
    ("bam_name", "index_name", "prefix"),
    [
        ("SAMPLE.BAM", "SAMPLE.bai", "SAMPLE.BAM"),
        ("a b 'c' \"d\".bam", "a b 'c' \"d\".bam.bai", "a b 'c' \"d\""),
        ("Müller-ゲノム.bam", "Müller.bai", "Müller-ゲノム"),
        ("-c.bam", "--index.bai", "-c"),
        ("x.bam", "x.bai.gz", "x"),
    ],
)
def test_any_file_name_is_accepted(
    applet: Applet, tmp_path: Path, bam_name: str, index_name: str, prefix: str
) -> None:
    bam = make_bam(tmp_path / "plain.bam", {"chr1": 2, "chr2": 1})
    index = Path(f"{bam}.bai").rename(tmp_path / index_name)
    if index_name.endswith(".gz"):
        index.write_bytes(gzip.compress(index.read_bytes()))
    bam = bam.rename(tmp_path / bam_name)

    run = applet.run(bam, index)

    assert run.state == "done", run.log
    assert run.produced == files_of(prefix)
    assert run.count_file == expected_count_file(bam)


def test_a_million_reads_on_25_sequences_are_counted_exactly(
    applet: Applet, tmp_path: Path
) -> None:
    # Each sequence has a different count, so that swapped counts are detected.
    bam = make_big_bam(tmp_path / "million.bam", contigs=25, reads=40_000 - 12)

    run = applet.run(bam, Path(f"{bam}.bai"))

    assert run.count_file == expected_count_file(bam)
    assert run.count_file.endswith("Total reads: 1000000")


@pytest.mark.parametrize(("length", "suffix"), [(1000, "bai"), (2**29 + 1, "csi")])
def test_an_index_is_created_and_can_be_used_by_the_next_job(
    applet: Applet, tmp_path: Path, length: int, suffix: str
) -> None:
    reads = [Read("chr1", 5), Read("chr1", length - 20), Read("chr2", 5), Read(None)]
    lengths = {"chr1": length, "empty": 100, "chr2": 100}
    bam = write_bam(tmp_path / "my.bam", lengths, reads, csi=suffix == "csi")

    run = applet.run(bam, None)

    assert run.state == "done", run.log
    assert run.produced == files_of("my", f"my.bam.{suffix}")
    assert run.count_file == expected_count_file(bam)
    assert f"no index given: created a {suffix.upper()} in " in run.log

    created = tmp_path / f"created.{suffix}"
    applet.dx.ok("download", run.job["output"]["index_file"]["$dnanexus_link"], "-o", str(created))
    again = applet.run(bam, created)

    assert again.state == "done", again.log
    assert again.produced == files_of("my")
    assert again.count_file == run.count_file


@pytest.mark.parametrize("with_index", [True, False])
def test_a_cram_is_counted_without_its_reference(
    applet: Applet, tmp_path: Path, with_index: bool
) -> None:
    reads = {"chr1": 300, "empty": 0, "HLA-A*01:01": 2} | {f"decoy{n}": n for n in range(20)}
    bam = make_bam(tmp_path / "sample.bam", reads, unplaced=7)
    cram = cram_of(bam, "seqs_per_slice=50")

    run = applet.run(cram, Path(f"{cram}.crai") if with_index else None)

    assert run.state == "done", run.log
    assert run.produced == files_of("sample", *([] if with_index else ["sample.cram.crai"]))
    assert run.count_file == expected_count_file(bam)


def test_the_file_type_is_detected_from_content_not_from_the_name(
    applet: Applet, tmp_path: Path
) -> None:
    bam = make_bam(tmp_path / "sample.bam", {"chr1": 30, "chr2": 5}, unplaced=7)
    cram = cram_of(bam)
    expected = expected_count_file(bam)
    for file, name in (bam, "a.cram"), (cram, "b.bam"):
        run = applet.run(file.rename(tmp_path / name), None)
        assert run.state == "done", run.log
        kind = "bai" if name == "a.cram" else "crai"
        assert run.produced == files_of(name[0], f"{name}.{kind}")
        assert run.count_file == expected


def test_a_bai_index_is_rejected_for_a_cram(applet: Applet, tmp_path: Path) -> None:
    bam = make_bam(tmp_path / "sample.bam", {"chr1": 30})
    run = applet.run(cram_of(bam), Path(f"{bam}.bai"))
    reason, message = run.failure
    assert (run.state, reason) == ("failed", "AppError")
    assert "sample.bam.bai is a BAI index, not the index of a CRAM file" in message
    assert run.produced == []


def test_an_unsorted_bam_is_rejected_with_the_command_that_sorts_it(
    applet: Applet, tmp_path: Path
) -> None:
    bam = make_bam(tmp_path / "sorted.bam", {"chr1": 30, "chr2": 5})
    shuffled = tmp_path / "shuffled.bam"
    subprocess.run(["samtools", "collate", "-o", shuffled, bam], check=True)

    run = applet.run(shuffled, None)

    reason, message = run.failure
    assert (run.state, reason) == ("failed", "AppError")
    assert "samtools sort -o sorted_shuffled.bam shuffled.bam" in message
    assert run.produced == []


def test_a_truncated_bam_fails_the_job_with_an_app_error(applet: Applet, tmp_path: Path) -> None:
    bam = make_bam(tmp_path / "cut.bam", {"chr1": 5000, "chr2": 5000})
    os.truncate(bam, bam.stat().st_size // 2)

    run = applet.run(bam, Path(f"{bam}.bai"))

    reason, message = run.failure
    assert (run.state, reason) == ("failed", "AppError")
    assert "mappings_sorted_bam: cut.bam" in message
    assert "b'" not in message
    assert run.produced == []


def test_the_error_message_of_samtools_is_quoted(applet: Applet, tmp_path: Path) -> None:
    bam = make_bam(tmp_path / "corrupt.bam", {"chr1": 20_000, "chr2": 20_000})
    size = bam.stat().st_size
    with bam.open("r+b") as file:
        file.seek(size // 2)
        file.write(bytes(1000))

    run = applet.run(bam, Path(f"{bam}.bai"))

    reason, message = run.failure
    assert (run.state, reason) == ("failed", "AppError")
    for words in ("mappings_sorted_bam: ", "of corrupt.bam", "chr", "exit status", ", [E::"):
        assert words in message
    assert "samtools view" in run.log
    assert "b'" not in message
    assert run.produced == []


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (["-i", "mappings_sorted_bai={bam}"], "mappings_sorted_bam"),
        (["-i", "mappings_sorted_bam={bam}", "-i", "mappings_sorted_bay={bam}"], "_bay"),
    ],
    ids=["missing", "misspelled"],
)
def test_dx_run_rejects_a_missing_or_misspelled_input(
    applet: Applet, tmp_path: Path, inputs: list[str], words: str
) -> None:
    bam = applet.dx.upload(make_bam(tmp_path, {"chr1": 1}))
    rejected = applet.dx("run", applet.id, "-y", *(part.format(bam=bam) for part in inputs))
    assert rejected.returncode == 3
    assert words in rejected.stderr


def test_dx_build_prints_no_warnings(applet: Applet) -> None:
    assert "WARNING" not in applet.build_log


def test_the_description_of_the_applet_is_the_readme(applet: Applet) -> None:
    description = applet.dx.describe(applet.id)["description"]
    assert description == (APPLET / "README.md").read_text()


def test_the_make_target_that_dx_build_runs_is_silent_and_needs_no_setup() -> None:
    done = subprocess.run(
        ["/usr/bin/make", "--no-print-directory", "-C", str(APPLET), "-j2"],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert not list((APPLET / "resources").rglob("__pycache__"))


def test_the_help_of_dx_run_lists_every_field_with_its_label(dx: Dx, applet: Applet) -> None:
    help_text = dx.ok("run", applet.id, "--help")
    described = dx.describe(applet.id)
    for field in described["inputSpec"] + described["outputSpec"]:
        assert field["name"] in help_text
        assert field["label"] in help_text
