"""A template as bytes: float32, little-endian, and nothing that is no template comes back."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.services.roster_opening import from_bytes, to_bytes

components = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=512).filter(
    lambda v: math.hypot(*v) > 1e-3
)


@given(components)
def test_comes_back_as_it_was(values: list[float]) -> None:
    unit = np.asarray(values, np.float32)
    unit /= np.linalg.norm(unit)
    plain = to_bytes(unit)
    assert plain == struct.pack(f"<{len(unit)}f", *unit)
    again = from_bytes(plain, len(unit))
    assert np.allclose(again, unit, atol=1e-6)
    assert not again.flags.writeable


@pytest.mark.parametrize(
    "values",
    [[], [0.0, 0.0], [2.0], [0.5, 0.5], [math.nan, 1.0], [math.inf], [1.0, -math.inf]],
    ids=str,
)
def test_what_is_no_template_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="template"):
        from_bytes(struct.pack(f"<{len(values)}f", *values))


def test_another_models_dimensions_are_refused() -> None:
    plain = to_bytes(np.eye(8, dtype=np.float32)[0])
    assert len(from_bytes(plain, 8)) == len(from_bytes(plain)) == 8
    with pytest.raises(ValueError, match="8 dimensions, not 128"):
        from_bytes(plain, 128)
    with pytest.raises(ValueError, match="buffer size"):
        from_bytes(plain[:-1])
