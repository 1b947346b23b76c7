"""BAM and index come together, wherever they were and whatever they are called."""

import os
from pathlib import Path

import pysam
import pytest

from builders import make_bam
from readcount.inputs import side_by_side

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
def test_the_index_is_found_under_any_names(tmp_path: Path, name: str, index_name: str) -> None:
    made = make_bam(tmp_path, {"chr1": 3})
    bam = made.rename(tmp_path / name)
    (tmp_path / "elsewhere").mkdir()
    index = Path(f"{made}.bai").rename(tmp_path / "elsewhere" / index_name.format(name))

    together = side_by_side(bam, index, tmp_path / "together")

    assert together.name == name
    with pysam.AlignmentFile(str(together.path)) as alignments:
        assert alignments.count("chr1") == 3


def test_relative_paths_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_bam(tmp_path, {"chr1": 3})
    monkeypatch.chdir(tmp_path)

    together = side_by_side(Path("sample.bam"), Path("sample.bam.bai"), Path("together"))

    assert together.path.is_absolute()
    assert together.path.read_bytes() == Path("sample.bam").read_bytes()


def test_an_index_that_came_before_its_bam_does_not_look_outdated(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 3})
    index = Path(f"{bam}.bai")
    os.utime(index, (0, 0))

    together = side_by_side(bam, index, tmp_path / "together")

    assert Path(f"{together.path}.bai").stat().st_mtime >= bam.stat().st_mtime
    assert index.stat().st_mtime == 0, "the file that was given stays as it was"
