"""File formats at byte level: file types, BGZF, BAI, CSI and CRAI indexes, CRAM containers.

Takes bytes or paths, returns plain values. Does not import any other stage.
"""
