"""The samples that a subjob counts, and the file with their columns: numpy's .npz, compressed."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from readcount.cohort.count import Counted, NotCounted
from readcount.counting.counts_file import check_owner, incomplete, opened_counts
from readcount.planning.divide import Subjob, deal

_ARRAY = ".npy"


@dataclass(frozen=True)
class SampleShare(Subjob):
    """What a subjob counts.

    Attributes:
        samples: names of its samples, by number.
    """

    samples: Mapping[int, str]


def deal_samples(sizes: Mapping[int, float], subjobs: int) -> list[list[int]]:
    """Returns the sample numbers of each subjob; shares are about equal in size.

    Each sample, largest first, goes to the subjob with the smallest share.

    Args:
        sizes: relative cost of each sample, by number.
        subjobs: number of subjobs; there are never more than samples.

    >>> deal_samples({0: 5, 1: 1, 2: 3, 3: 1}, 2)
    [[0], [1, 2, 3]]
    """
    samples = sorted(sizes, key=lambda sample: (-sizes[sample], sample))
    shares, _ = deal([sizes[sample] for sample in samples], min(subjobs, len(samples)))
    return [sorted(samples[at] for at in share) for share in shares]


class ShareWriter:
    """Writes the columns of a subjob one by one, so that they are not all in memory."""

    def __init__(self, path: Path, share: SampleShare) -> None:
        self._file = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._share = share
        self._samples: dict[int, dict[str, object]] = {}

    def add(self, sample: int, result: Counted | NotCounted) -> None:
        """Adds the counts of a sample, or the reason why it has none."""
        name = self._share.samples[sample]
        if isinstance(result, NotCounted):
            self._samples[sample] = {"name": name, "not_counted": result._asdict()}
            return
        self._write(f"sample{sample}", result.records)
        self._samples[sample] = {
            "name": name,
            "total": int(result.records.sum()),
            "sample_names": list(result.sample_names),
            "unplaced": result.unplaced,
        }

    def __enter__(self) -> "ShareWriter":
        return self

    def __exit__(self, *error: object) -> None:
        if error == (None, None, None):
            self._end()
        self._file.close()

    def _end(self) -> None:
        """Adds the metadata of the samples and of the subjob."""
        about = {
            "plan": self._share.plan,
            "subjob": [self._share.subjob, self._share.subjobs],
            "samples": self._samples,
        }
        self._write("about", np.frombuffer(json.dumps(about).encode(), np.uint8))

    def _write(self, name: str, values: "np.ndarray[tuple[int], np.dtype[np.generic]]") -> None:
        with self._file.open(name + _ARRAY, "w") as member:
            np.lib.format.write_array(member, values, allow_pickle=False)


def read_share(
    path: Path, share: SampleShare, regions: int
) -> Iterator[tuple[int, Counted | NotCounted]]:
    """Yields the number and counts of each sample of a subjob, one by one.

    Args:
        path: path of the file.
        share: what the subjob was to count.
        regions: number of counts per sample.

    Raises:
        SubjobError: the file belongs to another subjob, or is corrupt.
    """
    with opened_counts(path, share) as file:
        about = json.loads(file["about"].tobytes())
        check_owner(share, about["plan"], about["subjob"])
        samples = {int(number): said for number, said in about["samples"].items()}
        if {number: said["name"] for number, said in samples.items()} != share.samples:
            raise incomplete(share)
        for number, said in samples.items():
            if "not_counted" in said:
                yield number, NotCounted(**said["not_counted"])
                continue
            counts = file[f"sample{number}"]
            if counts.shape != (regions,) or int(counts.sum()) != said["total"]:
                raise incomplete(share)
            yield number, Counted(counts.astype(np.int64), said["sample_names"], said["unplaced"])
