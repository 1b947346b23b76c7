"""What the user asks for: the job's input as one value, `Request`, checked once; `Filters`."""
