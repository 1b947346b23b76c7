"""What is counted: reference sequences, named regions, intervals and windows.

Takes the request and the header's reference sequences; returns a `RegionList`, stored as columns.
"""
