"""Verification: counts and evidence -> `VerifiedCounts`, or an error.

Pure: what has to be read, the evidence reads.
"""
