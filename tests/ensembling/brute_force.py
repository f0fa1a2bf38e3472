"""The plain way: all similarities of all members in float64, added up, sorted by (similarity, row)."""

import numpy as np


class PlainScorer:
    """Counts of members -> hits, with no shortcut at all; for `similarity` and for `mean`."""

    def __init__(self, databases, queries, matrix, n, fusion="similarity"):
        self.databases = [rows.astype(np.float64) for rows in databases]
        self.queries = [rows.astype(np.float64) for rows in queries]
        self.matrix, self.n, self.fusion = matrix, n, fusion

    def similarity(self, weights):
        if self.fusion == "similarity":
            parts = zip(weights, self.queries, self.databases, strict=True)
            return sum(weight * queries @ database.T for weight, queries, database in parts)
        database = sum(w * rows for w, rows in zip(weights, self.databases, strict=True))
        queries = sum(w * rows for w, rows in zip(weights, self.queries, strict=True))
        database = database / np.linalg.norm(database, axis=1, keepdims=True)
        return queries @ database.T

    def hits(self, weights):
        similarity = self.similarity(weights)
        order = np.argsort(-similarity, axis=1, kind="stable")[:, : self.n]
        return np.take_along_axis(self.matrix, order, axis=1).any(axis=1)


def caruana(hits_of, num_members, size):
    """Ensemble selection with replacement, written from the paper: returns the best prefix, and all values.

    Equal additions are told apart by nobody: the caller must draw data without such ties, or compare values.
    """
    bag, values = [], []
    for _ in range(size):
        scores = []
        for member in range(num_members):
            counts = np.bincount([*bag, member], minlength=num_members).astype(float)
            scores.append(hits_of(counts).mean())
        best = int(np.argmax(scores))
        bag.append(best)
        values.append(scores[best])
    return bag[: int(np.argmax(values)) + 1], bag, values
