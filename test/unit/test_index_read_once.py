"""A job opens each index once: to read it again would cost as much again."""

import gzip
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from builders import Read, cram_of, write_bam
from readcount.counting.pool import start_workers
from readcount.request.request import Request
from readcount.source import index as index_module
from steps import ask, count_regions, files_of

LENGTHS = {"chr1": 100_000, "chr2": 5_000, "empty": 300}
READS = [Read("chr1", 7 * at) for at in range(3000)] + [Read("chr2", at) for at in range(50)]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often this process parses an index."""
    seen = Counter[str]()

    def count(module: Any, name: str) -> None:
        real = getattr(module, name)

        def spy(path: Path) -> Any:
            seen[path.name] += 1
            return real(path)

        monkeypatch.setattr(module, name, spy)

    count(index_module, "read_index")
    count(index_module, "read_crai")
    return seen


REQUESTS = {
    "unfiltered": ask(include_unplaced=True),
    "filtered": ask(min_mapping_quality=20, include_unplaced=True),
    "regions": ask(regions=["chr1:1-500", "chr2"]),
}


@pytest.mark.parametrize("kind", ["BAI", "CSI", "CRAI"])
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
def test_an_index_is_parsed_once(
    tmp_path: Path, reads: Counter[str], kind: str, request_: Request
) -> None:
    path = write_bam(tmp_path, LENGTHS, [*READS, Read(None)], csi=kind == "CSI")
    if kind == "CRAI":
        path = cram_of(path)
    with start_workers(2) as workers:
        assert count_regions(files_of(path), workers, print, request_).total
    (index,) = tmp_path.glob(f"{path.name}.*")
    assert gzip.decompress(index.read_bytes()) if kind != "BAI" else index.read_bytes()
    assert reads == {index.name: 1}
