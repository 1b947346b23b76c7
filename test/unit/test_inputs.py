"""BAM and index come together, wherever they were and whatever they are called."""

import os
import subprocess
from pathlib import Path

import pytest

from builders import Read, cram_of, make_bam, write_bam
from readcount.errors import InputError
from readcount.inputs import IndexedBam, downloaded, packed

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


def test_a_bai_goes_to_other_jobs_compressed(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {f"chr{number}": 1 for number in range(1000)})
    index = Path(f"{bam}.bai")
    small = packed(index)
    assert small is not None
    assert small.stat().st_size < index.stat().st_size / 3
    both = downloaded(str(bam), str(small))
    assert both.index.read_bytes() == index.read_bytes()
    assert {both.index.name, small.name} == {index.name}
    command = ["samtools", "view", "-c", both.as_samtools(), "chr7"]
    assert subprocess.check_output(command) == b"1\n"


def test_a_compressed_bai_that_was_cut_is_damaged(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {f"chr{number}": 1 for number in range(9000)})
    small = packed(Path(f"{bam}.bai"))
    assert small is not None
    small.write_bytes(small.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"sample.bam.bai is damaged: it cannot be read"):
        downloaded(str(bam), str(small))


def test_an_index_that_is_compressed_already_goes_as_it_is(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 3})
    csi = write_bam(tmp_path / "csi.bam", {"chr1": 10_000}, [Read("chr1")], csi=True)
    for index in (Path(f"{csi}.bai"), Path(f"{cram_of(bam)}.crai")):
        assert packed(index) is None
        assert downloaded(str(bam), str(index)).index == index


def test_the_size_is_that_of_the_file(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 3})
    here = downloaded(str(bam), f"{bam}.bai")
    there = IndexedBam(Path("elsewhere.bam"), here.index, url="https://example.org/x", url_size=5)
    assert (here.size, there.size) == (bam.stat().st_size, 5)
