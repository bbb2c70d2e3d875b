"""Who an address stands for."""

import pytest

from gateway.domain.addresses import neighbourhood


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("terminal", "terminal"),
    ],
)
def test_a_host_is_one_whatever_address_of_its_own_it_takes(address: str, expected: str):
    assert neighbourhood(address) == expected
