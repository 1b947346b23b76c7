"""BAM and index come together, wherever they were and whatever they are called."""

import os
from pathlib import Path

import pytest

from builders import Read, cram_of, make_bam, write_bam
from readcount.errors import InputError
from readcount.source.alignments import open_alignments
from readcount.source.files import compress_index, local_files, streamed_files
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


def test_an_index_that_came_before_its_bam_does_not_look_outdated(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 3})
    index = Path(f"{bam}.bai")
    os.utime(index, (0, 0))
    local_files(str(bam), str(index))
    assert index.stat().st_mtime >= bam.stat().st_mtime


def test_messages_show_long_names_shortened(tmp_path: Path) -> None:
    both = opened(make_bam(tmp_path / ("a" * 200 + ".bam"), {"chr1": 1})).file
    assert len(both.name) <= 80
    assert both.name.startswith("aaa")
    assert both.name.endswith("a.bam")


def test_a_bai_goes_to_other_jobs_compressed(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {f"chr{number}": 1 for number in range(1000)})
    index = Path(f"{bam}.bai")
    small = compress_index(index)
    assert small is not None
    assert small.stat().st_size < index.stat().st_size / 3
    usable = files_of(bam, small).index
    assert usable
    assert usable.read_bytes() == index.read_bytes()
    assert {usable.name, small.name} == {index.name}


def test_a_compressed_bai_that_was_cut_is_damaged(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {f"chr{number}": 1 for number in range(9000)})
    small = compress_index(Path(f"{bam}.bai"))
    assert small is not None
    small.write_bytes(small.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"sample.bam.bai is corrupt: it cannot be read"):
        files_of(bam, small)


def test_an_index_that_is_compressed_already_goes_as_it_is(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 3})
    csi = write_bam(tmp_path / "csi.bam", {"chr1": 10_000}, [Read("chr1")], csi=True)
    for index in (Path(f"{csi}.bai"), Path(f"{cram_of(bam)}.crai")):
        assert compress_index(index) is None
        assert files_of(bam, index).index == index


def test_the_size_is_that_of_the_file(tmp_path: Path) -> None:
    bam = make_bam(tmp_path, {"chr1": 3})
    here = files_of(bam).mappings
    there = streamed_files("https://example.org/x", "elsewhere.bam", 5, f"{bam}.bai").mappings
    assert (here.size, there.size) == (bam.stat().st_size, 5)
