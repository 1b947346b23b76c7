"""A CRAM and its CRAI index: where the records are, and what the two prove about counts."""

import shlex
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from math import inf
from pathlib import Path
from typing import NamedTuple

from readcount.errors import NEW_INDEX, InputError
from readcount.formats.bam_index import IndexFormatError
from readcount.formats.content import CRAM_INDEX, kind_of
from readcount.formats.cram import (
    DEFINITION_BYTES,
    END_OF_FILE,
    VERSION,
    Container,
    ContainerError,
    Slice,
    VersionError,
    by_container,
    check_definition,
    container_at,
    read_containers,
    read_crai,
)
from readcount.source.cram_parts import CramParts
from readcount.source.evidence import NOT_COUNTED, Located
from readcount.source.files import IndexedFile
from readcount.source.header import Header
from readcount.source.parts import (
    NO_SEQUENCE,
    SEVERAL,
    Edge,
    Span,
    SpanColumns,
    SpanPlaces,
    Stretch,
)
from readcount.source.readers import NAME_LENGTH, Reader
from readcount.text import plural, shorten


def open_index(path: Path) -> dict[int, list[Slice]]:
    """Returns the lines of the index of a CRAM by container.

    Raises:
        InputError: it is not one, or is corrupt.
    """
    field = f"mappings_sorted_bai: {shorten(path.name, NAME_LENGTH)}"
    kind = kind_of(path)
    # The index of a CRAM without records has no line to recognize it by.
    if kind not in (CRAM_INDEX, "a gzip-compressed file"):
        raise InputError(f"{field} is {kind}, not the index of a CRAM file. {NEW_INDEX}")
    try:
        return by_container(read_crai(path))
    except IndexFormatError as error:
        raise InputError(f"{field} is corrupt: {error}. {NEW_INDEX}") from None


class Unit(NamedTuple):
    """A container with records, by the index and, if it has been read, by its header.

    Attributes:
        begin: offset of the container, or of empty ones before it, in bytes.
        end: offset of the next one.
        tids: numbers of the reference sequences that the index lists, in the order of the file.
        several: whether it may hold records of several sequences.
        start: first position, 0-based, if it holds records of one sequence.
        stop: position after the last one.
        records: how many it holds; None if its header has not been read.
    """

    begin: int
    end: int
    tids: tuple[int, ...]
    several: bool
    start: int
    stop: int
    records: int | None = None

    @property
    def tid(self) -> int:
        """The number of its reference sequence, NO_SEQUENCE or SEVERAL."""
        return SEVERAL if self.several else self.tids[0]


def units_of(lines: Mapping[int, Sequence[Slice]], begin: int, end: int) -> list[Unit]:
    """Returns the containers that an index lists, in the order of the file.

    Args:
        lines: of the index, by the offset of their container.
        begin: offset of the first container after the header, in bytes.
        end: offset of the container that ends the file.
    """
    bounds = [begin, *list(lines)[1:], end] if lines else []
    units = []
    for (first, last), its in zip(pairwise(bounds), lines.values(), strict=True):
        tids = sorted({line.tid for line in its}, key=_in_file)
        start = min(line.start for line in its) - 1
        # A record that covers no base, which counts as covering one, may be after the span.
        stop = max(line.start + line.span for line in its)
        units.append(Unit(first, last, tuple(tids), len(tids) > 1, start, stop))
    return units


def _in_file(tid: int) -> float:
    """Returns what to sort sequences by: unplaced records are last."""
    return inf if tid == NO_SEQUENCE else tid


class CramLayout:
    """Where the records of a CRAM are; see Layout."""

    has_numbers = False

    def __init__(self, units: Sequence[Unit], asked: Collection[int]) -> None:
        """Groups containers.

        Args:
            units: the containers, in the order of the file.
            asked: numbers of the sequences that are asked for: a container that several sequences
                share may hold records of these that the index does not list.
        """
        runs = _runs_of(units)
        self._units = {run[0].begin: run for run in runs}
        ordered = is_in_order(units)
        before = [(), *(run[-1].tids if ordered else () for run in runs)]
        after = [*(run[0].tids if ordered else () for run in runs[1:]), ()]
        self.stretches = [
            Stretch(
                run[0].begin << 16,
                run[-1].end << 16,
                run[0].tid,
                _tids_of(run[0], its_before, its_after, asked),
            )
            for run, its_before, its_after in zip(runs, before, after, strict=False)
        ]

    def cuts(self, stretch: Stretch) -> Sequence[int]:
        """Returns where the containers of a stretch begin; see Layout."""
        return [unit.begin << 16 for unit in self.units(stretch)[1:]]

    def units(self, stretch: Stretch) -> Sequence[Unit]:
        """Returns the containers of a stretch."""
        return self._units[stretch.begin >> 16]

    def places(self, spans: SpanColumns) -> SpanPlaces:
        """Returns the containers that spans overlap; see Layout."""
        # Imported here: numpy takes 0.1 s to load, and only spans need it.
        import numpy as np

        order = np.argsort(spans.tids, kind="stable")
        used, firsts = np.unique(spans.tids[order], return_index=True)
        rows_of = dict(zip(used.tolist(), np.split(order, firsts[1:]), strict=True))
        found = [np.zeros((3, 0), np.int64)]
        for stretch in self.stretches:
            if stretch.tid not in rows_of:
                continue
            its = rows_of[stretch.tid]
            units = np.array([unit[:2] + unit[4:6] for unit in self.units(stretch)], np.int64)
            begins, ends, starts, stops = units.T
            if (np.diff(starts) >= 0).all():
                first = np.searchsorted(np.maximum.accumulate(stops), spans.starts[its], "right")
                last = np.searchsorted(starts, spans.ends[its], "left")
            else:
                overlaps = (spans.ends[its] > starts.min()) & (spans.starts[its] < stops.max())
                first, last = np.zeros(len(its), np.int64), np.where(overlaps, len(starts), 0)
            here = first < last
            lows, highs = begins[first[here]] << 16, ends[last[here] - 1] << 16
            found.append(np.array([its[here], lows, highs]))
        shared = [
            stretch
            for stretch in self.stretches
            if stretch.tid == SEVERAL and not rows_of.keys().isdisjoint(stretch.tids)
        ]
        rows, lows, highs = np.concatenate(found, axis=1)
        return SpanPlaces(rows, lows, highs, shared)

    def inner(self, span: Span) -> tuple[int, int]:
        """Returns offsets of the containers whose records all begin in a span; see Layout."""
        its = [stretch for stretch in self.stretches if span.tid in stretch.tids]
        if len(its) != 1:
            return 0, 0
        inside = [
            list(units)
            for is_inside, units in groupby(
                self.units(its[0]),
                lambda unit: span.start <= unit.start and unit.stop <= span.end,
            )
            if is_inside
        ]
        if not inside:
            return 0, 0
        longest = max(inside, key=len)
        return longest[0].begin << 16, longest[-1].end << 16


def _tids_of(
    unit: Unit, before: Sequence[int], after: Sequence[int], asked: Collection[int]
) -> tuple[int, ...]:
    """Returns the sequences of which there may be records in a container.

    Args:
        unit: the container.
        before: the sequences of the one before it, if containers are in order.
        after: those of the one after it.
        asked: the sequences that are asked for.
    """
    if not unit.several:
        return unit.tids
    least = _in_file(before[-1]) if before else 0
    most = _in_file(after[0]) if after else inf
    between = {tid for tid in asked if least <= _in_file(tid) <= most}
    return tuple(sorted(between.union(unit.tids), key=_in_file))


def _runs_of(units: Sequence[Unit]) -> list[list[Unit]]:
    """Returns the containers of one sequence that follow each other, and each one of several."""
    runs: list[list[Unit]] = []
    for unit in units:
        if runs and not unit.several and runs[-1][0].tid == unit.tid:
            runs[-1].append(unit)
        else:
            runs.append([unit])
    return runs


def is_in_order(units: Sequence[Unit]) -> bool:
    """Whether containers are in the order of the header, and of the positions on a sequence."""
    return all(
        _in_file(one.tids[-1]) <= _in_file(other.tids[0])
        and (one.tids != other.tids or one.start <= other.start)
        for one, other in pairwise(units)
    )


def _beside(units: Sequence[Unit], asked: Set[int]) -> set[int]:
    """Returns the indexes of containers that may hold what the index does not list for them.

    They are not among those that are asked for: the one before and the one after these, and where
    sequences would be that the index does not list at all. If containers are not in order, all.

    Args:
        units: the containers, in the order of the file.
        asked: numbers of the sequences that are asked for.
    """
    others = {at for at, unit in enumerate(units) if asked.isdisjoint(unit.tids)}
    if not is_in_order(units):
        return others
    beside = {near for at in range(len(units)) if at not in others for near in (at - 1, at + 1)}
    firsts = [_in_file(unit.tids[0]) for unit in units]
    listed = {tid for unit in units for tid in unit.tids}
    for tid in asked - listed:
        after = bisect_left(firsts, _in_file(tid))
        beside |= {after - 1, after}
    return beside & others


@dataclass(frozen=True)
class CramEvidence:
    """What a CRAM and its index prove; see Evidence.

    Each task compares the containers that it reads with the index, and counts with their headers.

    Attributes:
        parts: of the CRAM.
        header: of the CRAM.
        lines: of the index, by the offset of their container.
        begin: offset of the first container after the header, in bytes.
        end: offset of the container that ends the file.
    """

    parts: CramParts
    header: Header
    lines: Mapping[int, Sequence[Slice]]
    begin: int
    end: int

    source = "containers"
    unplaced = None

    @property
    def file(self) -> IndexedFile:
        """The CRAM with its index."""
        return self.parts.file

    @property
    def numbers(self) -> Mapping[int, int]:
        """Nothing: tasks have compared the number of their records with the containers."""
        return {}

    def locate(self, whole: Collection[int], spans: Collection[int]) -> Located:
        """Returns where the records are; see Evidence.

        The headers of the containers of a streamed file are all over the file. Those that no task
        reads are read here: of sequences that are asked for in parts, and those that show that the
        index leaves out none of what is asked for.
        """
        units = self._units
        if self.file.data.streamed:
            wanted = sorted(
                _beside(units, {*whole, *spans})
                | {at for at, unit in enumerate(units) if not set(spans).isdisjoint(unit.tids)}
            )
            units = list(units)
            for at, unit in zip(
                wanted, self.file.data.map(self._read, [units[at] for at in wanted]), strict=True
            ):
                units[at] = unit
        return Located(CramLayout(units, {*whole, *spans}))

    @cached_property
    def _units(self) -> Sequence[Unit]:
        """The containers; of a file that is not streamed with their headers."""
        if self.file.data.streamed and self.lines:
            return units_of(self.lines, self.begin, self.end)
        if not self.lines:
            self._read_between(self.begin, self.end)
        return [self._read(unit) for unit in units_of(self.lines, self.begin, self.end)]

    def _read(self, unit: Unit) -> Unit:
        """Returns a unit with what the header of its container says; raises InputError."""
        containers = self._read_between(unit.begin, unit.end)
        container = next((one for one in containers if one.records), None)
        if container is None:
            raise self.file.mismatch(f"the file has no records at byte {unit.begin}")
        if container.tid == SEVERAL:
            return unit._replace(several=True, records=container.records)
        start = min(unit.start, container.start - 1)
        stop = max(unit.stop, container.start + container.span)
        return unit._replace(start=start, stop=stop, records=container.records)

    def _read_between(self, begin: int, end: int) -> list[Container]:
        """Returns the containers from one offset to another, compared with the index."""
        try:
            containers = read_containers(self.file.data.read, begin, end)
        except ContainerError as error:
            raise InputError(self.file.corrupt_or_mismatch(str(error))) from None
        for container in containers:
            self.parts.check(container, self.lines)
        return containers

    def check_index(self, edges: Sequence[Edge]) -> None:
        """Does nothing: locate() has compared the index with the containers."""

    def trust(self, whole: Collection[int]) -> Located:
        """Returns the numbers of records by the headers of all containers; see Evidence.

        None for those that several sequences share, and that have records without a position.
        """
        units = list(self.file.data.map(self._read, self._units))
        layout = CramLayout(units, whole)
        numbers = []
        for stretch in layout.stretches:
            its = layout.units(stretch)
            known = stretch.tid != SEVERAL and (
                stretch.tid == NO_SEQUENCE or all(unit.start >= 0 for unit in its)
            )
            numbers.append(sum(unit.records or 0 for unit in its) if known else None)
        decoded = sum(number is None for number in numbers)
        were = "was" if decoded == 1 else "were"
        return Located(
            layout,
            numbers,
            (
                f"the index matches the headers of all {plural(len(units), 'container')}; "
                f"{decoded:,} shared by several sequences {were} decoded",
                NOT_COUNTED,
            ),
        )


def read_head(data: Reader) -> tuple[bytes, int]:
    """Returns the beginning of a CRAM up to the end of its SAM header, and where the file ends.

    Raises:
        InputError: it is of another version, or corrupt.
    """
    name = shorten(data.name, NAME_LENGTH)
    try:
        check_definition(data.read(0, DEFINITION_BYTES))
        header = container_at(data.read, DEFINITION_BYTES)
    except VersionError as error:
        convert = ["samtools", "view", "-T", "reference.fa", "-C", "-o"]
        command = shlex.join([*convert, shorten(f"new_{data.name}", 80), name])
        raise InputError(
            f"mappings_sorted_bam: {name} is of CRAM version {error}, and only version {VERSION} "
            f"can be counted. Convert it with: {command}"
        ) from None
    except ContainerError as error:
        raise InputError(
            f"mappings_sorted_bam: {name} is corrupt: {error}. Upload it again."
        ) from None
    return data.read(0, header.end), data.size - len(END_OF_FILE)
