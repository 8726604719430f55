"""Which IP addresses are public, and which spellings of a host are taken at all.

Written out instead of left to `ipaddress.is_global`, whose lists differ between releases of Python and know neither
the addresses at which clouds answer their own machines nor IPv4 addresses that travel within IPv6 ones.
"""

import ipaddress
import re
from unicodedata import normalize
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NOT_PUBLIC = tuple(
    ipaddress.ip_network(block)
    for block in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
        # Azure answers its own machines here, on an address that is public otherwise.
        "168.63.129.16/32",
        # IPv4 within IPv6 by ways out of use (::/96, 6to4, Teredo), or whose other end only the operator knows.
        "::/96", "2002::/16", "2001::/32", "64:ff9b:1::/48",
        "100::/64", "2001:2::/48", "2001:10::/28", "2001:20::/28", "2001:db8::/32", "3fff::/20", "5f00::/16",
        "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_DOTS = re.compile("[\u3002\uff0e\uff61]")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_STRANGE = re.compile(r"[\x00-\x20\x7f\\]")


def reached_by(address: Address) -> Address:
    """The address that packets to this one end at: an IPv4 address that is written as IPv6, or comes through NAT64."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Whether anybody on the internet could be asked there."""
    reached = reached_by(address)
    return reached.is_global and not any(
        reached in network for network in _NOT_PUBLIC if network.version == reached.version
    )


def strange_host(url: str) -> str | None:
    """What is wrong with how a URL spells its host, None when nothing is.

    Resolvers read `127.1`, `0x7f.1`, `2130706433` and `127。0。0。1` as 127.0.0.1, so that who judges the text
    and who connects would see two hosts.
    """
    if _STRANGE.search(url):
        return "it has a blank, a control character or a backslash"
    netloc = urlsplit(url).netloc.rpartition("@")[2]
    if "%" in netloc:
        return f"its host {netloc:.100} has a percent sign"
    host = netloc if netloc.startswith("[") else netloc.partition(":")[0]
    if _DOTS.search(host) or normalize("NFKC", host).lower() != host.lower():
        return f"its host {host:.100} has letters or dots that stand for others"
    if not host.startswith("[") and _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]) and not _is_ipv4(host):
        return f"its host {host:.100} is a number, but no address such as 192.0.2.1"
    return None


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
