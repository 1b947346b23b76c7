"""What to count in which samtools call, and how the parts of the count add up.

Takes regions and what is known of each reference sequence; returns `Plan`, shards of it, and the
merged counts. Pure: no processes, files or network.
"""
