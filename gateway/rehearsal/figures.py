"""Percentiles for benchmark files."""

from collections.abc import Sequence

import numpy as np


def spread(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99, and the extremes; linear interpolation. Raises ValueError on no values."""
    if not values:
        raise ValueError("no values to summarise")
    p50, p95, p99 = (float(v) for v in np.percentile(values, [50, 95, 99]))
    return {
        "n": len(values),
        "min": round(min(values), 2),
        "p50": round(p50, 2),
        "p95": round(p95, 2),
        "p99": round(p99, 2),
        "max": round(max(values), 2),
    }
