"""Counts the records of a BAM in each of its regions, with samtools on several cores.

The modules are the steps, in order: inputs, regions, plan, samtools, counts.
"""
