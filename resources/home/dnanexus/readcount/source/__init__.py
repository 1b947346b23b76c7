"""The input: a BAM or CRAM, downloaded or streamed, its header, index, and evidence of counts.

Takes `InputFiles`, returns `Alignments`. Later stages do not depend on the format or on whether the
file is streamed.
"""
