"""Parts of a CRAM as a CRAM of their own: how a process of the Pool sends them to samtools."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from readcount.errors import InputError
from readcount.formats.bam_index import IndexFormatError
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
    check_listed,
    container_at,
    read_crai,
)
from readcount.source.files import IndexedFile, corrupt_mappings
from readcount.source.parts import (
    EVERYWHERE,
    NO_SEQUENCE,
    SEVERAL,
    Extent,
    NotOnlySpanError,
    Part,
    Span,
)
from readcount.source.readers import NAME_LENGTH, Reader, Stream, write_all
from readcount.text import shorten

# What decides whether a record counts: FLAG, RNAME, POS and MAPQ (SAM_FLAG, ... in htslib/sam.h).
# Without the bases a CRAM is decoded without its reference, and faster.
FIELDS = 0x1E
# What decides where a record ends: CIGAR. It takes most of the time.
FIELDS_OF_ENDS = 0x20
# The read group, without the other tags, some of which need the bases (SAM_RGAUX).
FIELD_OF_READ_GROUP = 0x1000


@dataclass(frozen=True)
class CramParts:
    """A CRAM of which parts can be decoded by themselves; see Parts.

    A container needs no other one: the beginning of the file, any containers, and the one at the
    end of a file are a CRAM.

    Attributes:
        file: the CRAM with its index.
        header: path of the beginning of the CRAM, with the SAM header.
    """

    file: IndexedFile
    header: Path

    def options(self, with_ends: bool, read_group: bool) -> list[str]:
        """Returns the options with which samtools decodes only what is needed; see Parts.

        From 1.17 on `view -c` sets them itself.
        """
        fields = FIELDS
        fields |= FIELDS_OF_ENDS if with_ends else 0
        fields |= FIELD_OF_READ_GROUP if read_group else 0
        return ["--input-fmt-option", f"required_fields={fields:#x}"]

    def send(self, parts: Iterable[Part], only: Span | None, pipe: int, sent: list[Extent]) -> None:
        """Writes a CRAM with the records of some parts to a pipe; see Parts."""
        listed = _listed(self.file.index, self.file.index.stat().st_mtime_ns)
        write_all(pipe, self.header.read_bytes())
        for part in parts:
            begin, end = part.begin.offset >> 16, part.end.offset >> 16
            with self.file.mappings.stream(begin, end) as stream:
                while stream.offset < end:
                    container = self.container(stream)
                    self.check(container, listed)
                    if only and container.records and not _is_only(container, only):
                        raise NotOnlySpanError
                    sent.append(_extent_of(container))
                    self._send_container(stream, container, pipe)
                if stream.offset != end:
                    raise self.file.mismatch(f"no container begins at byte {end}")
        write_all(pipe, END_OF_FILE)

    def container(self, stream: Stream) -> Container:
        """Returns the container at which a stream is; raises InputError if there is none."""

        def read(start: int, size: int) -> bytes:
            return stream.peek(size)

        try:
            return container_at(read, stream.offset)
        except ContainerError as error:
            raise self.file.corrupt_or_mismatch(str(error)) from None

    def check(self, container: Container, listed: Mapping[int, Sequence[Slice]]) -> None:
        """Raises InputError unless the index has what a container has."""
        try:
            check_listed(container, listed.get(container.offset, ()))
        except IndexFormatError as error:
            raise self.file.mismatch(str(error)) from None

    def _send_container(self, stream: Stream, container: Container, pipe: int) -> None:
        try:
            # samtools takes some that hold no record for the end of the file.
            if container.records:
                stream.send(container.size, pipe)
            else:
                stream.skip(container.size)
        except EOFError:
            what = "the file ends within a container"
            raise self.file.corrupt_or_mismatch(what) from None


@lru_cache(maxsize=1)
def _listed(index: Path, modified: int) -> Mapping[int, Sequence[Slice]]:
    """Returns the lines of the index by container; reads them once in each process."""
    return by_container(read_crai(index))


def _is_only(container: Container, span: Span) -> bool:
    """Whether all records of a container begin in a span, by its header."""
    if container.tid != span.tid:
        return False
    start = container.start - 1
    # A record that covers no base may be after the container's span.
    return span.tid == NO_SEQUENCE or (
        span.start <= start and start + container.span + 1 <= span.end
    )


def _extent_of(container: Container) -> Extent:
    """Returns where the records of a container should be, by its header.

    Its span ends with the reference sequence, even if records do not.
    """
    if container.tid == SEVERAL:
        return Extent(container.records, None)
    start = EVERYWHERE[0] if container.tid == NO_SEQUENCE else container.start - 1
    return Extent(container.records, Span(container.tid, start, EVERYWHERE[1]))


def read_head(mappings: Reader) -> tuple[bytes, int]:
    """Returns the beginning of a CRAM up to the end of its SAM header, and where the file ends.

    Raises:
        InputError: it is of another version, or corrupt.
    """
    name = shorten(mappings.name, NAME_LENGTH)
    try:
        check_definition(mappings.read(0, DEFINITION_BYTES))
        header = container_at(mappings.read, DEFINITION_BYTES)
    except VersionError as error:
        convert = ["samtools", "view", "-T", "reference.fa", "-C", "-o"]
        command = shlex.join([*convert, shorten(f"new_{mappings.name}", 80), name])
        raise InputError(
            f"mappings_sorted_bam: {name} is of CRAM version {error}, and only version {VERSION} "
            f"can be counted. Convert it with: {command}"
        ) from None
    except ContainerError as error:
        raise corrupt_mappings(mappings, str(error)) from None
    return mappings.read(0, header.end), mappings.size - len(END_OF_FILE)
