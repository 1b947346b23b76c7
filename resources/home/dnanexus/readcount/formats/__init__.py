"""File formats, as bytes: what a file is, BGZF blocks, BAI, CSI and CRAI indexes, CRAM containers.

Takes bytes or paths, returns plain values. Imports nothing of the other stages.
"""
