"""The search behind every split: units that stay whole are spread over folds so that each has its share of all."""

import numpy as np
import pandas as pd
from scipy import sparse

# Bounds of the search, in numbers evaluated, so that its time does not depend on luck.
BATCH = 60_000  # changes x columns that a round evaluates at once
ROUNDS = 600
PATIENCE = 12  # rounds without a better change before a search ends
WORK = 2_000_000  # searches restart until so many numbers were evaluated
DENSE = 5_000_000  # numbers that the counts of all kinds may take in memory at once

# What the search weighs: the largest distance of a class from its share, the mean deviation of the classes, and the
# number of rows, which only decides between equals: 0.8 and 0.0005 are what let no splitter of scikit-learn win
# either of the first two on the test's random problems.
IMPORTANCE = (0.8, 1, 0.0005)
# Unequal shares: rounding every class the same way would hold out a sixth instead of a fifth.
UNEQUAL_IMPORTANCE = (0.8, 1, 10)


def spread(columns, shares, *, seed):
    """Give every unit a fold so that each fold holds its share of every column.

    Units of equal counts are one kind, so that sixty thousand rows of ten classes are ten kinds. Kinds are placed one
    after another, large and rare ones first, each in the folds that lack it most; then units are moved and exchanged
    as long as that helps.

    Args:
        columns: sparse array `(units, columns)` of counts, not negative: how many rows of each class, label or bin a
            unit has. The last column is its number of rows, more than 0, which weighs less than the others.
        shares: array `(folds,)` that sums to 1, the fold's share of every column.
        seed: integer or sequence of integers.

    Returns:
        int64 array `(units,)` of fold numbers. Neither the order nor the names of the columns matter.

    Reference:
        Greedy placement, the scarcest first: K. Sechidis, G. Tsoumakas, I. Vlahavas, "On the Stratification of
        Multi-Label Data", ECML PKDD 2011.
    """
    rng = np.random.default_rng(seed)
    columns = _in_order_of_content(sparse.csr_array(columns, dtype=np.float64))
    kind, first = _kinds(columns)
    search = _Search(columns[first], np.bincount(kind), np.asarray(shares, float), rng)
    counts = search.run()
    folds = np.empty(len(kind), np.int64)
    order = rng.permutation(len(kind))
    order = order[np.argsort(kind[order], kind="stable")]
    folds[order] = np.repeat(np.tile(np.arange(counts.shape[1]), len(counts)), counts.ravel())
    return folds


def _in_order_of_content(columns):
    """Return the columns ordered by what they hold, the last one last, so that names cannot decide anything."""
    by_column = sparse.csc_array(columns)
    by_column.sort_indices()
    ends = by_column.indptr

    def content(number):
        part = slice(ends[number], ends[number + 1])
        return by_column.indices[part].tobytes(), by_column.data[part].tobytes()

    order = sorted(range(columns.shape[1] - 1), key=content)
    ordered = sparse.csr_array(by_column[:, [*order, columns.shape[1] - 1]])
    ordered.sort_indices()
    return ordered


def _kinds(columns):
    """Return the kind of each unit and the first unit of each kind, in the order in which kinds come up."""
    # Rows are told apart by one random projection onto the integers modulo 2^64: two that differ agree by a chance
    # of 1 in 10^19.
    factors = np.random.default_rng(0).integers(1, 2**63, columns.shape[1], dtype=np.int64)
    marks = sparse.csr_array(columns, dtype=np.int64) @ factors
    kind = pd.factorize(marks)[0]
    return kind, np.unique(kind, return_index=True)[1]


class _Search:
    """Counts of units by kind and fold, and their improvement."""

    def __init__(self, kinds, sizes, shares, rng):
        self.kinds, self.sizes, self.shares, self.rng = kinds, sizes, shares, rng
        totals = np.asarray(sizes @ kinds).ravel()
        self.targets = np.outer(shares, totals)
        # Chi-squared: between equal weight for every row and equal weight for every class.
        self.weights = 1 / np.maximum(totals, 1)
        self.weighted = sparse.csr_array(kinds.multiply(self.weights[None, :]))
        self.weighted.sort_indices()
        self.norms = np.asarray(self.weighted.multiply(kinds).sum(axis=1)).ravel()
        self.totals = np.maximum(totals[:-1], 1)
        self.importance = np.array(IMPORTANCE if np.ptp(shares) < 1e-9 else UNEQUAL_IMPORTANCE)
        self.work = 0
        self.dense = kinds.toarray() if np.prod(kinds.shape) <= DENSE else None

    def run(self):
        """Return the counts `(kinds, folds)` of the best of several searches."""
        self.place(0)
        self.move()
        self.scale = np.maximum(self.measures(self.off), [0.1, 0.1 * np.mean(1 / self.totals), 1])
        self.exchange()
        best, lowest = self.counts, self.value()
        while self.work < WORK and np.abs(self.off).max() >= 1:
            self.place(0.3)
            self.move()
            self.exchange()
            if self.value() < lowest - 1e-9:
                best, lowest = self.counts, self.value()
        return best

    def place(self, disorder):
        """Give every kind's units to the folds that lack them most, kinds of large weight first."""
        folds = len(self.shares)
        self.counts = np.zeros((len(self.sizes), folds), np.int64)
        placed, held = np.zeros(self.kinds.shape[1]), np.zeros_like(self.targets)
        indices, data, ends = self.kinds.indices, self.kinds.data, self.kinds.indptr
        priority = self.rng.permutation(len(self.sizes))  # among kinds of equal weight
        weight = self.norms * np.exp(disorder * self.rng.standard_normal(len(self.norms)))
        for kind in np.lexsort((priority, -np.round(weight / weight.max(), 9))):
            part = slice(ends[kind], ends[kind + 1])
            entries, amounts, size = indices[part], data[part], self.sizes[kind]
            placed[entries] += size * amounts
            # The change of the sum of squares by one more unit, in units of the growth that each unit brings
            off = held[:, entries] - self.shares[:, None] * placed[entries]
            price = off @ self.weighted.data[part] / self.norms[kind]
            first = self.rng.permutation(folds)  # so that ties fall anywhere
            price = np.round(price[first], 6)
            if size == 1:
                assigned = np.zeros(folds, np.int64)
                assigned[first[np.argmin(price)]] = 1
            else:
                steps = (price[:, None] + np.arange(size)).ravel()
                taken = np.argsort(steps, kind="stable")[:size] // size
                assigned = np.bincount(first[taken], minlength=folds)
            self.counts[kind] = assigned
            held[:, entries] += assigned[:, None] * amounts
        self.off = held - self.targets

    def move(self):
        """Move single units, the best move first, while that lowers the weighted sum of squares."""
        pull = self.weighted @ self.off.T
        for _ in range(ROUNDS):
            leave = np.where(self.counts > 0, pull, -np.inf)
            gain = 2 * (leave.max(axis=1) - pull.min(axis=1) - self.norms)
            kind = int(gain.argmax())
            if gain[kind] <= 1e-9 * self.norms[kind]:
                return
            source, target = int(leave[kind].argmax()), int(pull[kind].argmin())
            unit = self.rows([kind])[0]
            change = self.weighted @ unit
            pull[:, source] -= change
            pull[:, target] += change
            self.shift(kind, source, target, unit)

    def exchange(self):
        """Try random moves and exchanges of two units, measured exactly; take the best of each batch."""
        misses, value = 0, self.value()
        for _ in range(ROUNDS):
            if np.abs(self.off).max() < 1:
                return
            kinds, folds = np.nonzero(self.counts)
            batch = int(np.clip(len(kinds) ** 2 // 4, 64, max(BATCH // self.kinds.shape[1], 64)))
            self.work += batch * self.kinds.shape[1] + 2000
            one, two = self.rng.integers(0, len(kinds), (2, batch))
            source, target = folds[one], folds[two]
            swap = self.rng.random(batch) < 0.75
            target = np.where(swap, target, self.rng.integers(0, len(self.shares), batch))
            fine = source != target
            one, two, source, target, swap = (array[fine] for array in (one, two, source, target, swap))
            unit = self.rows(kinds[one]) - self.rows(kinds[two]) * swap[:, None]
            values = self.values_after(unit, source, target)
            best = int(values.argmin())
            if values[best] < value - 1e-9:
                value, misses = values[best], 0
                self.shift(kinds[one[best]], source[best], target[best], unit[best])
                if swap[best]:
                    self.counts[kinds[two[best]], target[best]] -= 1
                    self.counts[kinds[two[best]], source[best]] += 1
            else:
                misses += 1
                if misses == PATIENCE:
                    return

    def rows(self, kinds):
        return self.dense[kinds] if self.dense is not None else self.kinds[kinds].toarray()

    def shift(self, kind, source, target, change):
        self.counts[kind, source] -= 1
        self.counts[kind, target] += 1
        self.off[source] -= change
        self.off[target] += change

    def measures(self, off):
        """Return the largest distance of a class (rows), the mean deviation of its share, the same of all rows."""
        classes = off[:, :-1]
        spread = np.sqrt((classes**2).mean(axis=0)) / self.totals
        return np.array([np.abs(classes).max(), spread.mean(), np.abs(off[:, -1]).max()])

    def value(self):
        return float(self.importance @ (self.measures(self.off) / self.scale))

    def values_after(self, unit, source, target):
        """Return the value after each of many changes: `unit` (changes, columns) leaves `source` for `target`."""
        before_source, before_target = self.off[source], self.off[target]
        after_source, after_target = before_source - unit, before_target + unit
        folds = np.arange(len(self.shares))
        largest = np.abs(self.off[:, :-1]).max(axis=1), np.abs(self.off[:, -1])
        measures = []
        for columns, of_folds in zip((slice(None, -1), slice(-1, None)), largest, strict=True):
            other = np.where(
                (folds[None, :] == source[:, None]) | (folds[None, :] == target[:, None]), 0, of_folds[None, :]
            ).max(axis=1)
            changed = np.maximum(np.abs(after_source[:, columns]), np.abs(after_target[:, columns])).max(axis=1)
            measures.append(np.maximum(other, changed))
        squares = (self.off[:, :-1] ** 2).sum(axis=0) + (
            after_source**2 - before_source**2 + after_target**2 - before_target**2
        )[:, :-1]
        spread = (np.sqrt(np.maximum(squares, 0) / len(self.shares)) / self.totals).mean(axis=1)
        return self.importance @ (np.stack([measures[0], spread, measures[1]]) / self.scale[:, None])
