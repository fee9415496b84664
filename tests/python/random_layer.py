"""Random rows for the tests, and the shared description of what a mask must look like."""

import numpy as np

ROWS, HEADS, DIM, QUERY_HEADS, QUERIES = 160, 2, 64, 6, 64
BUDGET = 96


def random_layer(seed=0, rows=ROWS, heads=HEADS, dim=DIM):
    """keys, values [rows, heads, dim] and queries [query heads, queries, dim], float32."""
    rng = np.random.default_rng(seed)
    shapes = (rows, heads, dim), (rows, heads, dim), (QUERY_HEADS, QUERIES, dim)
    return tuple(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
