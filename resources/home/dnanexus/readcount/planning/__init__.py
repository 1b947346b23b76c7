"""Decides which samtools call reads which parts of the file, and adds up the counts.

Takes regions and record locations; returns `Plan`, its division among subjobs, and the merged
counts. Pure: no processes, files or network.
"""
