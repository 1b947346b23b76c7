"""The counts of a subjob as a file: numpy's .npz, compressed."""

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from readcount.errors import SubjobError
from readcount.planning.divide import Share, Subjob
from readcount.regions.counts import TaskCounts


def write_counts(path: Path, share: Share, counted: Iterable[TaskCounts]) -> None:
    """Writes the counts of a subjob's tasks, in any order."""
    counts = list(counted)
    records = [np.asarray(one.records, np.int64) for one in counts]
    decoded = [
        (one.task, tid, number) for one in counts for tid, number in (one.decoded or {}).items()
    ]
    np.savez_compressed(
        path,
        plan=np.array(share.plan),
        subjob=np.array([share.subjob, share.subjobs]),
        tasks=np.array([one.task for one in counts], np.int64),
        regions=np.array([len(one) for one in records], np.int64),
        records=np.concatenate([np.zeros(0, np.int64), *records]),
        has_decoded=np.array([one.decoded is not None for one in counts], np.bool_),
        decoded=np.array(decoded, np.int64).reshape(-1, 3),
    )


def read_counts(path: Path, share: Share) -> Iterator[TaskCounts]:
    """Yields the counts of a subjob's tasks, in file order.

    Raises SubjobError if the file belongs to another subjob or plan, or is corrupt.
    """
    with opened_counts(path, share) as file:
        plan, subjob = str(file["plan"]), file["subjob"].tolist()
        tasks, regions, records = file["tasks"], file["regions"], file["records"]
        has_decoded, decoded = file["has_decoded"].tolist(), file["decoded"].tolist()
    check_owner(share, plan, subjob)
    complete = sorted(tasks.tolist()) == sorted(share.tasks)
    numbers = {len(tasks), len(regions), len(has_decoded)}
    if not complete or len(numbers) > 1 or regions.sum() != len(records):
        raise incomplete(share)
    by_task: dict[int, dict[int, int]] = {
        task: {} for task, has in zip(tasks.tolist(), has_decoded, strict=True) if has
    }
    for task, tid, number in decoded:
        by_task[task][tid] = number
    of_tasks = np.split(records, np.cumsum(regions))
    for task, its in zip(tasks.tolist(), of_tasks, strict=False):
        yield TaskCounts(task, its, by_task.get(task))


@contextmanager
def opened_counts(path: Path, subjob: Subjob) -> Iterator[Any]:
    """Yields the arrays in a subjob's file, by name; raises SubjobError if they cannot be read."""
    try:
        # Without pickle, loading the file cannot execute code.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            yield file
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise SubjobError(f"The counts of {subjob} cannot be read. Run the job again.") from error


def check_owner(subjob: Subjob, plan: str, numbers: list[int]) -> None:
    """Raises SubjobError unless a file with this digest and these numbers is the subjob's."""
    if plan != subjob.plan or numbers != [subjob.subjob, subjob.subjobs]:
        raise SubjobError(
            f"The counts of {subjob} are those of another subjob, or of other inputs. Run the job "
            "again."
        )


def incomplete(subjob: Subjob) -> SubjobError:
    """Returns the error for a file that does not have all counts of the subjob."""
    return SubjobError(f"The counts of {subjob} are incomplete. Run the job again.")
