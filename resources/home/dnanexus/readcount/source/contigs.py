"""What is known of each reference sequence, as plain values."""

from typing import NamedTuple

from readcount.formats.bam_index import ContigIndex


class Contig(NamedTuple):
    """A reference sequence; a tuple because there can be millions.

    Attributes:
        length: in bases, as the header has it; records may lie beyond.
        indexed: what the index has on it.
    """

    length: int
    indexed: ContigIndex = ContigIndex()


class Access(NamedTuple):
    """How records are read, as far as it decides what counting costs.

    Attributes:
        streamed: whether they come over the network.
        expressions: whether `samtools view -c` may get a filter expression. Since samtools 1.17
            that would need the reference of a CRAM.
        bytes: of all records in the file; None where the costs do not depend on it: the bases of a
            CRAM are not decoded.
    """

    streamed: bool = False
    expressions: bool = True
    bytes: int | None = None
