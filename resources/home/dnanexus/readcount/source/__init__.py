"""The input: BAM or CRAM, downloaded or streamed; its header, its index, and what proves a count.

Takes `InputFiles`, returns `Alignments`. No later stage asks for the format or the location.
"""
