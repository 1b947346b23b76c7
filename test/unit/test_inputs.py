"""BAM and index come together, wherever they were and whatever they are called."""

import os
import subprocess
from pathlib import Path

import pytest

from builders import make_bam
from readcount.inputs import downloaded

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
def test_samtools_finds_both_under_any_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, index_name: str
) -> None:
    made = make_bam(tmp_path, {"chr1": 3})
    made.rename(tmp_path / name)
    (tmp_path / "elsewhere").mkdir()
    index = Path("elsewhere") / index_name.format(name)
    Path(f"{made}.bai").rename(tmp_path / index)
    monkeypatch.chdir(tmp_path)

    both = downloaded(name, str(index))

    assert both.path.is_absolute()
    assert both.path.name == name
    command = ["samtools", "view", "-c", both.as_samtools(), "{chr1}"]
    assert subprocess.check_output(command) == b"3\n"


def test_an_index_that_came_before_its_bam_does_not_look_outdated(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 3})
    index = Path(f"{bam}.bai")
    os.utime(index, (0, 0))
    downloaded(str(bam), str(index))
    assert index.stat().st_mtime >= bam.stat().st_mtime


def test_messages_show_long_names_shortened(tmp_path: Path) -> None:
    bam = make_bam(tmp_path / ("a" * 200 + ".bam"), {"chr1": 1})
    both = downloaded(str(bam), f"{bam}.bai")
    assert len(both.shown) <= 80
    assert both.shown.startswith("aaa")
    assert both.shown.endswith("a.bam")
