"""Grants under random faults, with a gateway that is killed at random instants.

``make soak`` runs ten thousand; the ordinary tests a few hundred.
"""

import os
from pathlib import Path

import pytest

from tests.soak.stage import check, soak

GRANTS = int(os.environ.get("SOAK_GRANTS", "10000"))
SEED = int(os.environ.get("SOAK_SEED", "1"))


async def play(state: Path, grants: int, longest_life_s: float) -> None:
    stage, kills = await soak(state, grants, seed=SEED, longest_life_s=longest_life_s)
    counted = check(state, stage)
    print(f"\nsoak: seed {SEED}, {kills} kills, {counted}")  # noqa: T201
    assert counted["grants"] >= grants
    assert counted["pulses"] > grants // 3


@pytest.mark.timeout(400)
async def test_fault_17_a_few_hundred_grants_under_faults_and_kills(tmp_path: Path) -> None:
    await play(tmp_path, 300, 5.0)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_soak(tmp_path: Path) -> None:
    await play(tmp_path, GRANTS, 6.0)
