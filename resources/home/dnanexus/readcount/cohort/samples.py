"""The samples of a cohort: files paired with their indexes by name, never by order."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from readcount.errors import InputError
from readcount.outputs.text import name_without_suffix
from readcount.regions.region import some_of
from readcount.request.request import Link
from readcount.text import shorten

# Names of indexes: NAME.bam.bai, NAME.bai, NAME.cram.crai, ...; a BAI may be gzip-compressed.
_INDEX_NAME = re.compile(r"(?P<base>.+)\.(?P<kind>bai|csi|crai)(\.gz)?")
# Index types of BAM and CRAM.
_KINDS = {"bam": ("bai", "csi"), "cram": ("crai",)}
# Columns of tables and matrices that are not samples.
FIRST_COLUMNS = ("region", "contig", "start", "end", "length")
RECORDS_COLUMN, SOURCE_COLUMN = "records", "counts_from"
RESERVED = (*FIRST_COLUMNS, RECORDS_COLUMN, SOURCE_COLUMN, "#Chr", "Start", "End")
_NOT_IN_A_NAME = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class SampleFile:
    """A file of a sample, as described by the platform.

    Attributes:
        link: link to the file.
        name: name of the file; its ID if it cannot be described.
        folder: folder of the file in its project.
        size: size in bytes.
        fault: error message if the file cannot be read, else empty.
    """

    link: Link
    name: str
    folder: str = "/"
    size: int = 0
    fault: str = ""

    @property
    def path(self) -> str:
        """Folder and name, for messages."""
        return f"{self.folder.rstrip('/')}/{self.name}"


@dataclass(frozen=True)
class Sample:
    """A sample to count.

    Attributes:
        name: name of its column.
        mappings: its BAM or CRAM.
        index: the index of that file.
    """

    name: str
    mappings: SampleFile
    index: SampleFile

    @property
    def fault(self) -> str:
        """Error message if one of its files cannot be read, else empty."""
        return self.mappings.fault or self.index.fault


def is_index(name: str) -> bool:
    """Whether a file name is the name of an index.

    >>> [is_index(name) for name in ("x.bam.bai", "x.crai", "x.bam", "x.bai.gz")]
    [True, True, False, True]
    """
    return _INDEX_NAME.fullmatch(name) is not None


def pair_by_name(mappings: Sequence[SampleFile], indexes: Iterable[SampleFile]) -> list[Sample]:
    """Returns a sample for each BAM or CRAM, with the index that matches its name.

    An index in the same folder is preferred. The sample is named after the file.

    Args:
        mappings: BAM and CRAM files; samples are in the same order.
        indexes: indexes, in any order.

    Raises:
        InputError: a file has no index or several; the details list all such files.
    """
    by_base: dict[str, list[tuple[str, SampleFile]]] = defaultdict(list)
    for index in indexes:
        if found := _INDEX_NAME.fullmatch(index.name):
            by_base[found["base"]].append((found["kind"], index))
    samples, missing, ambiguous = [], [], []
    for file in mappings:
        name = name_without_suffix(file.name)
        kinds = _KINDS.get(file.name.removeprefix(f"{name}."), ("bai", "csi", "crai"))
        bases = dict.fromkeys((file.name, name))
        fitting = [index for base in bases for kind, index in by_base[base] if kind in kinds]
        fitting = [index for index in fitting if index.folder == file.folder] or fitting
        if len(fitting) == 1:
            samples.append(Sample(name, file, fitting[0]))
        elif fitting:
            several = " and ".join(shorten(index.path, 80) for index in fitting[:3])
            ambiguous.append((file.path, several))
        elif file.fault:
            # Without a description, its name is unknown.
            samples.append(Sample(name, file, file))
        else:
            missing.append(file.path)
    _refuse(missing, ambiguous)
    return samples


def _refuse(missing: Sequence[str], ambiguous: Sequence[tuple[str, str]]) -> None:
    """Raises InputError if there are files without an index or with several."""
    faults = []
    if missing:
        faults.append(
            f"mappings_indexes: there is no index of {some_of(missing)}. Provide an index for each "
            "BAM or CRAM, such as NAME.bam.bai or NAME.cram.crai."
        )
    if ambiguous:
        file, several = ambiguous[0]
        faults.append(
            f"mappings_indexes: {shorten(file, 80)} has more than one index: {several}"
            f"{_others(len(ambiguous) - 1)}. Provide one index for each file, or a sample sheet."
        )
    if faults:
        lines = [f"no index: {path}" for path in missing]
        lines += [f"more than one index: {path}: {several}" for path, several in ambiguous]
        raise InputError("\n".join(faults), "\n".join(lines))


def check_names(samples: Sequence[Sample], more: Mapping[str, Sequence[str]]) -> None:
    """Raises InputError if two columns would have the same name, or a file is given twice.

    Args:
        samples: the samples to count.
        more: column names of existing count tables, by name of the table.
    """
    places: dict[str, list[str]] = defaultdict(list)
    files: dict[str, list[str]] = defaultdict(list)
    for sample in samples:
        places[sample.name].append(sample.mappings.path)
        files[str(sample.mappings.link)].append(sample.name)
    for table, names in more.items():
        for name in names:
            places[name].append(table)
    for name in places:
        if not name or name in RESERVED or _NOT_IN_A_NAME.search(name) or name != name.strip():
            raise InputError(
                f"mappings: {shorten(repr(name), 60)} ({shorten(places[name][0], 80)}) cannot be "
                "the name of a column. Name the sample in a sample sheet."
            )
    repeated = {name: found for name, found in places.items() if len(found) > 1}
    if repeated:
        name, found = next(iter(repeated.items()))
        shown = " and ".join(shorten(place, 80) for place in found[:3])
        raise InputError(
            f"mappings: more than one sample is named {shorten(repr(name), 60)}: {shown}"
            f"{_others(len(repeated) - 1)}. Name each sample differently in a sample sheet.",
            "\n".join(f"{name}: {', '.join(found)}" for name, found in repeated.items()),
        )
    twice = {link: names for link, names in files.items() if len(names) > 1}
    if twice:
        names = next(iter(twice.values()))
        raise InputError(
            f"mappings: samples {shorten(' and '.join(map(repr, names)), 160)} have the same file"
            f"{_others(len(twice) - 1)}. Provide each file once.",
            "\n".join(f"one file: {', '.join(names)}" for names in twice.values()),
        )


def _others(number: int) -> str:
    return f" (and {number:,} more; see the log)" if number else ""
