"""A job parses each index only once, because that takes long for a large index."""

import gzip
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from builders import Read, cram_of, write_bam
from readcount.counting.pool import start_workers
from readcount.request.request import Request
from readcount.source import opening
from steps import ask, count_regions, files_of

LENGTHS = {"chr1": 100_000, "chr2": 5_000, "empty": 300}
READS = [Read("chr1", 7 * at) for at in range(3000)] + [Read("chr2", at) for at in range(50)]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts how often this process parses each index, by file name."""
    parsed = Counter[str]()

    def spy_on(module: Any, name: str) -> None:
        original = getattr(module, name)

        def spy(path: Path) -> Any:
            parsed[path.name] += 1
            return original(path)

        monkeypatch.setattr(module, name, spy)

    spy_on(opening, "read_index")
    spy_on(opening, "read_crai")
    return parsed


REQUESTS = {
    "unfiltered": ask(include_unplaced=True),
    "filtered": ask(min_mapping_quality=20, include_unplaced=True),
    "regions": ask(regions=["chr1:1-500", "chr2"]),
}


@pytest.mark.parametrize("kind", ["BAI", "CSI", "CRAI"])
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
def test_an_index_is_parsed_once(
    tmp_path: Path, parsed: Counter[str], kind: str, request_: Request
) -> None:
    path = write_bam(tmp_path, LENGTHS, [*READS, Read(None)], csi=kind == "CSI")
    if kind == "CRAI":
        path = cram_of(path)
    with start_workers(2) as workers:
        assert count_regions(files_of(path), workers, print, request_).total
    (index,) = tmp_path.glob(f"{path.name}.*")
    assert gzip.decompress(index.read_bytes()) if kind != "BAI" else index.read_bytes()
    assert parsed == {index.name: 1}
