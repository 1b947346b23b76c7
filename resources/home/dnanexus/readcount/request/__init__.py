"""What the user asks for: the job's input, checked once, and the regions that it names.

Takes the job's input, and the header's reference sequences; returns `Request`, `Filters`, `Region`.
"""
