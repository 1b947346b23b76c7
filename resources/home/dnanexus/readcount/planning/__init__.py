"""Which samtools call reads which parts of the file, and how the parts of the count add up.

Takes regions and where records are; returns `Plan`, shares of it for subjobs, and the merged
counts. Pure: no processes, files or network.
"""
