"""An opened CRAM, and the evidence in its CRAI index and its containers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from readcount.formats.cram import (
    Container,
    ContainerError,
    Slice,
    read_containers,
)
from readcount.source.alignments import OTHERS_NOT_COUNTED, Alignments, Located
from readcount.source.cram_layout import CramLayout, Unit, beside, units_of
from readcount.source.cram_parts import CramParts
from readcount.source.parts import (
    NO_SEQUENCE,
    SEVERAL,
    Edge,
)
from readcount.text import plural


@dataclass(frozen=True)
class CramAlignments(Alignments):
    """An opened CRAM and its index; see Alignments.

    Each task compares the containers that it reads with the index, and its counts with the
    container headers.

    Attributes:
        parts: the CRAM.
        lines: lines of the index, by container offset.
        begin: offset of the first container after the header, in bytes.
        end: offset of the end-of-file container.
    """

    parts: CramParts
    lines: Mapping[int, Sequence[Slice]]
    begin: int
    end: int

    source = "containers"

    def locate(self, whole: Collection[int], spans: Collection[int]) -> Located:
        """Returns the record locations; see Alignments.

        Container headers are spread over the whole file. For a streamed file only some are read
        here: those of sequences with regions that are parts of them, and those that show that the
        index omits no container of the sequences to count. Tasks read the others.
        """
        units = self._units()
        wanted = set(range(len(units)))
        if self.file.mappings.streamed:
            wanted = beside(units, {*whole, *spans})
            wanted |= {at for at, unit in enumerate(units) if not set(spans).isdisjoint(unit.tids)}
        numbers = sorted(wanted)
        completed = self.file.mappings.map(self._read, [units[at] for at in numbers])
        for at, unit in zip(numbers, completed, strict=True):
            units[at] = unit
        return Located(CramLayout(units, {*whole, *spans}))

    def _units(self) -> list[Unit]:
        """Returns the containers as described in the index."""
        if not self.lines:
            self._read_between(self.begin, self.end)
        return units_of(self.lines, self.begin, self.end)

    def _read(self, unit: Unit) -> Unit:
        """Returns a unit completed with its container's header; raises InputError."""
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
        """Returns the containers between two offsets, after comparing them with the index."""
        try:
            containers = read_containers(self.file.mappings.read, begin, end)
        except ContainerError as error:
            raise self.file.corrupt_or_mismatch(str(error)) from None
        for container in containers:
            self.parts.check(container, self.lines)
        return containers

    def check_index(self, edges: Sequence[Edge]) -> None:
        """Does nothing: locate() has already compared the index with the containers."""

    def trust(self, whole: Collection[int]) -> Located:
        """Returns the record counts in the headers of all containers; see Alignments.

        Multi-reference containers and those with records without a position have to be counted.
        """
        units = list(self.file.mappings.map(self._read, self._units()))
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
                f"{plural(decoded, 'multi-reference container')} {were} decoded",
                OTHERS_NOT_COUNTED,
            ),
        )
