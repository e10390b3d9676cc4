"""False discovery rates: how many of those that are listed are expected to be false alarms.

Benjamini and Hochberg (J. R. Stat. Soc. B 57, 1995) with the share of true nulls estimated as Storey, Taylor
and Siegmund do (J. R. Stat. Soc. B 66, 2004; lambda is 1/2). p-values against one common past depend on each
other; both stay valid with them (Bates, Candes, Lei, Romano and Sesia, Ann. Stat. 51, 2023).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

Numbers = NDArray[np.float64]
_LAMBDA = 0.5


def null_share(p: Numbers) -> float:
    """Return the estimated share of what is usual among these p-values, never above 1."""
    if not len(p):
        return 1.0
    return min(1.0, float((1 + np.count_nonzero(p > _LAMBDA)) / (len(p) * (1 - _LAMBDA))))


def q_values(p: Numbers) -> Numbers:
    """Return for each p-value the least false discovery rate of a list that holds it, 0..1.

    p: (m,) within 0..1; where it is NaN, nothing is known, and so is the result.
    """
    known = ~np.isnan(p)
    found = np.full(len(p), np.nan)
    if known.any():
        found[known] = np.minimum(1.0, null_share(p[known]) * false_discovery_control(p[known], method="bh"))
    return found
