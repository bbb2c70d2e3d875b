"""Who a network address stands for."""

import ipaddress


def neighbourhood(address: str) -> str:
    """The address, or the /64 of an IPv6 one: a single host has all of that (RFC 4291 §2.5.1, RFC 8981)."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((ip, 64), strict=False))
