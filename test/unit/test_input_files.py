"""BAM and index are found together, with any folders and names."""

from pathlib import Path

import pytest

from builders import make_bam
from readcount.source.alignments import open_alignments
from readcount.source.files import local_files
from readcount.source.readers import StreamedFile
from steps import count_here, files_of, opened, planned

ODD_NAMES = [
    "sample.bam",
    "SAMPLE.BAM",
    "no suffix",
    "-c.bam",
    "two  blanks .bam",
    'it\'s "quoted" `here` $HOME;.bam',
    "größe-日本.bam",
    "a%2Fb.bam",
    "new\nline.bam",
    "*.bam",
]


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("index_name", ["{}.bai", "-other index.bai"])
def test_both_are_found_under_any_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, index_name: str
) -> None:
    made = make_bam(tmp_path, {"chr1": 3})
    made.rename(tmp_path / name)
    (tmp_path / "elsewhere").mkdir()
    index = Path("elsewhere") / index_name.format(name)
    Path(f"{made}.bai").rename(tmp_path / index)
    monkeypatch.chdir(tmp_path)

    files = local_files(name, str(index))

    assert files.mappings.name == name
    alignments = open_alignments(files)
    assert list(count_here(alignments, planned(alignments)[0]).counts.records) == [3]


def test_messages_show_long_names_shortened(tmp_path: Path) -> None:
    both = opened(make_bam(tmp_path / ("a" * 200 + ".bam"), {"chr1": 1})).file
    assert len(both.name) <= 80
    assert both.name.startswith("aaa")
    assert both.name.endswith("a.bam")


def test_the_size_is_that_of_the_file(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 3})
    here = files_of(bam).mappings
    there = StreamedFile("elsewhere.bam", 5, "https://example.org/x")
    assert (here.size, there.size) == (bam.stat().st_size, 5)
