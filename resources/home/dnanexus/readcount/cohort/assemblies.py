"""Human genome assemblies: total and known (non-N) bases of each chromosome.

`chromosomes_of(lengths)` takes the lengths of the reference sequences by name, and returns the
assembly, if it is one of `ASSEMBLIES`, and the chromosome of each sequence.

No reads align to stretches of N, so records per base are computed per known base (A, C, G or T).
Sources:

- GRCh37: `lengthWithoutN` of hg19 in the One Touch Pipeline of the German Cancer Research Center
  (github.com/one-touch-pipeline/otp). The pseudoautosomal regions of Y are not masked; in hs37d5
  they are, and Y has 22,984,529 known bases there.
- GRCh38: number of A, C, G and T in each chromosome. Those of chr1 and chr10 to chr17 equal
  `knownBases` in the GenomeSize.xml of Illumina's Canvas
  (canvas-cnv-public.s3.amazonaws.com/GRCh38/WholeGenomeFasta). Y is not masked, as in Ensembl's and
  UCSC's hg38; NCBI's analysis sets mask its pseudoautosomal regions (2.8 Mb).
- T2T-CHM13v2.0: has no N. The lengths, plus 16,569 for M, add up to the 3,117,292,070 known bases
  that deepTools states (deeptools.readthedocs.io, effective genome size).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# The order of the columns below.
CHROMOSOMES = (*map(str, range(1, 23)), "X", "Y")
MITOCHONDRION = "MT"
SEX_CHROMOSOMES = ("X", "Y")

_NAME = re.compile(r"(?:chr)?(\d{1,2}|X|Y|M|MT)", re.IGNORECASE)
# NCBI and INSDC accessions. The chromosome is identified by its length.
_ACCESSION = re.compile(r"(NC_|CM|CP)\d{6}(\.\d+)?")
# Minimum number of chromosomes whose lengths must match to identify an assembly.
_MIN_ALIKE = 2


@dataclass(frozen=True)
class Assembly:
    """A reference genome.

    Attributes:
        name: official name.
        lengths: lengths in bases, by chromosome: 1 to 22, X, Y.
        known: number of bases that are not N, by chromosome.
    """

    name: str
    lengths: Mapping[str, int]
    known: Mapping[str, int]


def _assembly(name: str, lengths: str, known: str) -> Assembly:
    numbers = (map(int, text.replace(",", "").split()) for text in (lengths, known))
    return Assembly(name, *(dict(zip(CHROMOSOMES, column, strict=True)) for column in numbers))


_T2T = """
    248387328 242696752 201105948 193574945 182045439 172126628 160567428 146259331 150617247
    134758134 135127769 133324548 113566686 101161492 99753195 96330374 84276897 80542538
    61707364 66210255 45090682 51324926 154259566 62460029"""

ASSEMBLIES = (
    _assembly(
        "GRCh37",
        """
        249250621 243199373 198022430 191154276 180915260 171115067 159138663 146364022 141213431
        135534747 135006516 133851895 115169878 107349540 102531392 90354753 81195210 78077248
        59128983 63025520 48129895 51304566 155270560 59373566""",
        """
        225280621 238204522 194797136 187661676 177695260 167395067 155353663 142888922 120143431
        131314742 131129516 130481394 95589878 88289540 81694769 78884753 77795210 74657233
        55808983 59505520 35106692 34894562 151100560 25653566""",
    ),
    _assembly(
        "GRCh38",
        """
        248956422 242193529 198295559 190214555 181538259 170805979 159345973 145138636 138394717
        133797422 135086622 133275309 114364328 107043718 101991189 90338345 83257441 80373285
        58617616 64444167 46709983 50818468 156040895 57227415""",
        """
        230481012 240548228 198100135 189752667 181265378 170078522 158970131 144768136 121790550
        133262962 134533742 133137816 97983125 90568149 84641325 81805943 82920204 80089605
        58440758 63944257 40088619 39159777 154893029 26415043""",
    ),
    _assembly("T2T-CHM13", _T2T, _T2T),
)


def chromosomes_of(lengths: Mapping[str, int]) -> tuple[Assembly | None, dict[str, str]]:
    """Returns the assembly, and the chromosome (1 to 22, X, Y, MT) of each sequence that is one.

    Without a known assembly, chromosomes are identified by name: with or without chr, in upper or
    lower case; accessions (NC_, CM, CP) are then not recognized.

    Args:
        lengths: lengths of the reference sequences in bases, by name.

    >>> lengths = {"chr20": 64444167, "chrX": 156040895, "chrM": 16569}
    >>> assembly, chromosomes = chromosomes_of(lengths)
    >>> assembly.name, chromosomes
    ('GRCh38', {'chr20': '20', 'chrX': 'X', 'chrM': 'MT'})
    >>> chromosomes_of({"1": 195471971, "X": 171031299})
    (None, {'1': '1', 'X': 'X'})
    """
    named = {contig: name for contig in lengths if (name := _by_name(contig))}
    for assembly in ASSEMBLIES:
        found = named | {
            contig: chromosome
            for contig, length in lengths.items()
            if _ACCESSION.fullmatch(contig) and (chromosome := _by_length(assembly, length))
        }
        compared = [contig for contig, chromosome in found.items() if chromosome != MITOCHONDRION]
        if len(compared) >= _MIN_ALIKE and all(
            assembly.lengths.get(found[contig]) == lengths[contig] for contig in compared
        ):
            return assembly, found
    return None, named


def _by_name(contig: str) -> str | None:
    match = _NAME.fullmatch(contig)
    if match is None:
        return None
    name = match[1].upper()
    return MITOCHONDRION if name in ("M", "MT") else name.lstrip("0") or None


def _by_length(assembly: Assembly, length: int) -> str | None:
    # The revised Cambridge Reference Sequence, and the mitochondrial sequence of hg19.
    if length in (16569, 16571):
        return MITOCHONDRION
    return next((name for name, its in assembly.lengths.items() if its == length), None)
