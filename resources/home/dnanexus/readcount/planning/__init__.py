"""Decides which samtools call reads which parts of the file, and adds up the counts.

Takes regions and record locations; returns `Plan`, its division among subjobs, and the merged
counts. It imports no processes, files or network; a BAM layout may read single records to check the
index.
"""
