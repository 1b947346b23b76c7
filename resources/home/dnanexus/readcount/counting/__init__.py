"""Counting: tasks of the plan -> `TaskCounts`, by samtools calls in a Pool of processes."""
