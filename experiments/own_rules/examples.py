"""Own rules to begin with: rule = "python:examples.py:largest_logit". A rule is a function of one row, which returns a bool array, or the
indices, of what is recomputed. The class Row in experiments/python/lamp/_rule.py says what a row has."""
import numpy as np


def largest_logit(row):
    """lamp's own rule of this name: the largest y, as many as LAMP takes; of equal ones the first."""
    return np.argsort(-row.y, kind="stable")[:row.count]


def greedy(row):
    """rule = "lamp" at a softmax, with its bits: the shortest set of the largest z whose rest costs at most tau. What is left low costs
    every component B, all z that are left, and the smallest of them 1 - 2 z more. In integers, units of 2^-40: every sum is exact."""
    if len(row) == 1:
        return []
    unit = 2.0**40
    z, tau = np.floor(row.z * unit).astype(np.int64), int(np.ceil(row.tau * unit))
    order = np.argsort(-z, kind="stable")
    rest = np.maximum(0, 2**40 - np.append(0, np.cumsum(z[order])))  # B once the first 0, 1, .., n are taken
    cost = rest + int(np.floor((1 - 2 * row.z.min()) * unit))
    cost[-1] = 0
    return order[:np.argmax(cost <= tau)]


def page(row, size=16):
    """Quest's bound of every block of keys: whole blocks, the largest bound first, until they have as many keys as LAMP takes."""
    starts = np.arange(0, len(row), size)
    low, high = np.minimum.reduceat(row.k, starts), np.maximum.reduceat(row.k, starts)
    bounds = np.maximum(row.q * low, row.q * high).sum(axis=1)
    order = np.argsort(-bounds, kind="stable")
    keys = np.concatenate([np.arange(b * size, min((b + 1) * size, len(row))) for b in order])
    return keys[:row.count]


page.keys = True  # the row has q and k


def chance(row):
    """As many as LAMP takes, by chance: another draw for each row, the same in every run with this seed."""
    return row.random().choice(len(row), row.count, replace=False)
