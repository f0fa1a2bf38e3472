"""Drawn members of an ensemble: unit vectors that know their places, each member with errors of its own."""

import numpy as np


def unit_rows(rng, count, length):
    rows = rng.standard_normal((count, length))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def drawn_positives(rng, num_queries, num_database, part=0.03):
    """Who is a positive of whom, bool (q, n); some queries have none."""
    return rng.random((num_queries, num_database)) < part


def drawn_members(rng, *, members, queries, database, length=16, places=40, noise=0.9):
    """Databases and queries of several members, and the matrix of positives (q, n)."""
    place_of_image = np.sort(rng.integers(places, size=database))
    place_of_query = rng.integers(places, size=queries)
    latent = rng.standard_normal((places, length))
    seen_images = latent[place_of_image] + 0.4 * rng.standard_normal((database, length))
    seen_queries = latent[place_of_query] + 0.4 * rng.standard_normal((queries, length))
    databases, query_rows = [], []
    for i in range(members):
        own = noise * (0.7 + 0.1 * i)
        turn = rng.standard_normal((length, length)) / np.sqrt(length)
        for seen, rows in ((seen_images, databases), (seen_queries, query_rows)):
            values = seen @ turn + own * rng.standard_normal(seen.shape)
            rows.append((values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32))
    return databases, query_rows, place_of_query[:, None] == place_of_image[None]
