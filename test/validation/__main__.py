"""Prints the table in README.md: `make validate DRAWS=200`."""

import os

import numpy as np

from validation.cases import lines_of_table

if __name__ == "__main__":
    for line in lines_of_table(int(os.environ.get("DRAWS") or 200), np.random.default_rng(27)):
        print(line, flush=True)
