"""Sends parts of a CRAM to samtools as a complete CRAM."""

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
    check_definition,
    check_listed,
    container_at,
    read_crai,
)
from readcount.request.filters import Filters
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

# Fields that determine whether a record counts: FLAG, RNAME, POS and MAPQ (SAM_FLAG, ... in
# htslib/sam.h). If no bases are decoded, no reference is needed and decoding is faster.
FIELDS = 0x1E
# CIGAR, which determines where a record ends. Decoding it takes most of the time.
FIELDS_OF_ENDS = 0x20
# RNEXT (SAM_RNEXT): FLAG bits of the mate that a writer has omitted, because they follow from the
# mate's record, are only restored with it (CRAM specification, "BF").
FIELDS_OF_FLAGS = 0x40
# The read group: of the record (SAM_RGAUX), or a tag like any other (SAM_AUX), as after `samtools
# reheader` has added its @RG line. The tags MD and NM, which require the bases, are not created.
FIELDS_OF_READ_GROUP = 0x1000 | 0x800
_NO_MD_AND_NM = ("--input-fmt-option", "decode_md=0")


@dataclass(frozen=True)
class CramParts:
    """A CRAM whose parts can be decoded separately; see Parts.

    Containers are independent of each other: the beginning of the file, any containers, and the
    end-of-file container together are a valid CRAM.

    Attributes:
        file: the CRAM with its index.
        header: path of a file with the beginning of the CRAM up to the end of its SAM header.
    """

    file: IndexedFile
    header: Path

    # The header of a container, or of the next one, bounds its records in any order.
    require_order = False
    # `view -c -d RG:...` of samtools 1.17 and later does not decode tags, even if required_fields
    # includes them.
    can_count_read_groups = False

    def options(self, with_ends: bool, filters: Filters) -> list[str]:
        """Returns the options that make samtools decode only the needed fields; see Parts.

        samtools 1.17 and later set them themselves for `view -c`.
        """
        fields = FIELDS
        fields |= FIELDS_OF_ENDS if with_ends else 0
        fields |= FIELDS_OF_FLAGS if filters.require_flags or filters.exclude_flags else 0
        fields |= FIELDS_OF_READ_GROUP if filters.read_groups else 0
        more = _NO_MD_AND_NM if filters.read_groups else ()
        return ["--input-fmt-option", f"required_fields={fields:#x}", *more]

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
        """Returns the container at the stream's offset; raises InputError if there is none."""

        def read(start: int, size: int) -> bytes:
            return stream.peek(size)

        try:
            return container_at(read, stream.offset)
        except ContainerError as error:
            raise self.file.corrupt_or_mismatch(str(error)) from None

    def check(self, container: Container, listed: Mapping[int, Sequence[Slice]]) -> None:
        """Raises InputError if a container does not match its lines in the index."""
        try:
            check_listed(container, listed.get(container.offset, ()))
        except IndexFormatError as error:
            raise self.file.mismatch(str(error)) from None

    def _send_container(self, stream: Stream, container: Container, pipe: int) -> None:
        try:
            # samtools mistakes some containers without records for the end of the file.
            if container.records:
                stream.send(container.size, pipe)
            else:
                stream.skip(container.size)
        except EOFError:
            what = "the file ends within a container"
            raise self.file.corrupt_or_mismatch(what) from None


@lru_cache(maxsize=2)
def _listed(index: Path, modified: int) -> Mapping[int, Sequence[Slice]]:
    """Returns the lines of the index by container; read once per process.

    A cohort counts two large files at a time.
    """
    return read_crai(index)


def _is_only(container: Container, span: Span) -> bool:
    """Whether all records of a container start in a span according to its header."""
    if container.tid != span.tid:
        return False
    start = container.start - 1
    # A record that covers no base may be located after the container's span.
    return span.tid == NO_SEQUENCE or (
        span.start <= start and start + container.span + 1 <= span.end
    )


def _extent_of(container: Container) -> Extent:
    """Returns where the records of a container should be according to its header.

    The span in the header ends at the end of the reference sequence, even if records extend beyond
    it.
    """
    if container.tid == SEVERAL:
        return Extent(container.records, None)
    start = EVERYWHERE[0] if container.tid == NO_SEQUENCE else container.start - 1
    return Extent(container.records, Span(container.tid, start, EVERYWHERE[1]))


def read_head(mappings: Reader) -> tuple[bytes, int]:
    """Returns a CRAM up to the end of its SAM header, and the offset of its end.

    Raises:
        InputError: its version is not supported, or it is corrupt.
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
