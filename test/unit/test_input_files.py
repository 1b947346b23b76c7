"""A BAM and its index are found in any folders and under any names."""

from pathlib import Path

import pytest

from builders import make_bam
from readcount.source.opening import open_alignments
from readcount.source.readers import StreamedFile
from steps import count_here, files_of, local_files, opened, planned

UNUSUAL_NAMES = [
    "sample.bam",
    "SAMPLE.BAM",
    "no suffix",
    "-c.bam",
    "two  spaces .bam",
    'it\'s "quoted" `here` $HOME;.bam',
    "größe-日本.bam",
    "a%2Fb.bam",
    "new\nline.bam",
    "*.bam",
]


@pytest.mark.parametrize("name", UNUSUAL_NAMES)
@pytest.mark.parametrize("index_name", ["{}.bai", "-other index.bai"])
def test_bam_and_index_may_have_any_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, index_name: str
) -> None:
    bam = make_bam(tmp_path, {"chr1": 3})
    bam.rename(tmp_path / name)
    (tmp_path / "elsewhere").mkdir()
    index = Path("elsewhere") / index_name.format(name)
    Path(f"{bam}.bai").rename(tmp_path / index)
    monkeypatch.chdir(tmp_path)

    files = local_files(name, str(index))

    assert files.mappings.name == name
    alignments = open_alignments(files)
    assert list(count_here(alignments, planned(alignments)).counts.records) == [3]


def test_long_names_are_shortened_in_messages(tmp_path: Path) -> None:
    file = opened(make_bam(tmp_path / ("a" * 200 + ".bam"), {"chr1": 1})).file
    assert len(file.name) <= 80
    assert file.name.startswith("aaa")
    assert file.name.endswith("a.bam")


def test_local_and_streamed_files_have_a_size(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 3})
    local = files_of(bam).mappings
    streamed = StreamedFile("elsewhere.bam", 5, "https://example.org/x")
    assert (local.size, streamed.size) == (bam.stat().st_size, 5)
