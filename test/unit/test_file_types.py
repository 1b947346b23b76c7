"""The type of a file is detected from its content, not from its name."""

import gzip
import subprocess
from pathlib import Path

import pysam
import pytest

from builders import make_bam
from fuzz import bgzf
from readcount.formats.content import kind_of


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "an empty file"),
        (b"@HD\tVN:1.6\n", "SAM text"),
        (b"@SQ\tSN:chr1\tLN:9\n", "SAM text"),
        (gzip.compress(b"@HD\tVN:1.6\n", mtime=0), "compressed SAM text"),
        (gzip.compress(b"something", mtime=0), "a gzip-compressed file"),
        (b"\x1f\x8b\x08 and no more", "a gzip-compressed file"),
        (b"##fileformat=VCFv4.2\n", "VCF text"),
        (gzip.compress(b"BCF\2\2", mtime=0), "a BCF file"),
        (gzip.compress(b"TBI\1", mtime=0), "a tabix index"),
        (gzip.compress(b"BAI\1", mtime=0), "a compressed BAI index"),
        (b"PK\3\4", "a file of an unknown kind"),
        (b"0\t1\t2\t26\t5\t6\n", "a CRAI index"),
        (gzip.compress(b"-1\t0\t1\t26\t5\t6\n", mtime=0), "a CRAI index"),
        (b"0\t1\t2\t26\t5\n", "a file of an unknown kind"),
        (b"BAM\1", "a BAM file without BGZF compression"),
        (gzip.compress(b"BAM\1", mtime=0), "a BAM file compressed with gzip instead of BGZF"),
        (
            gzip.compress(bgzf.pack(b"BAM\1"), mtime=0),
            "a BAM file compressed with gzip instead of BGZF",
        ),
        (bgzf.pack(b"BAM\1"), "a BAM file"),
    ],
)
def test_a_file_type_is_detected_from_the_first_bytes(
    tmp_path: Path, content: bytes, kind: str
) -> None:
    file = tmp_path / "sample.bam"
    file.write_bytes(content)
    assert kind_of(file) == kind


def test_files_written_by_samtools_are_detected(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 3})
    pysam.index("-c", str(bam))
    cram = tmp_path / "sample.cram"
    subprocess.run(
        ["samtools", "view", "-C", "--output-fmt-option", "no_ref=1", "-o", cram, bam], check=True
    )
    assert [kind_of(Path(f"{bam}{suffix}")) for suffix in ("", ".bai", ".csi")] == [
        "a BAM file",
        "a BAI index",
        "a CSI index",
    ]
    assert kind_of(cram) == "a CRAM file"
    subprocess.run(["samtools", "index", cram], check=True)
    assert kind_of(Path(f"{cram}.crai")) == "a CRAI index"
