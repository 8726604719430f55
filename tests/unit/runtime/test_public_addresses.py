"""What counts as public does not depend on Python's release, on how an address is written, or on what it travels in."""

import ipaddress

import pytest
from modelyard_runtime.fetch import Fetcher, FetchRefusedError
from modelyard_runtime.public_addresses import is_public


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "168.63.129.16", "169.254.169.254",
        "172.16.0.1", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
        "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::7f00:1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:168.63.129.16",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a83f:8110", "64:ff9b:1::1", "2001::1",
        "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1",
        "ff02::1", "2001:db8::1", "3fff::1", "5f00::1", "100::1",
    ],
)  # fmt: skip
def test_an_address_inside_is_not_public_however_it_is_written(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    assert not Fetcher().permits(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "168.63.129.17", "192.0.3.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203"])
def test_a_listed_network_is_asked_however_its_address_is_written(address: str) -> None:
    assert Fetcher(allow=["10.0.0.0/8"]).permits(address)
    assert not Fetcher(allow=["10.9.0.0/16"]).permits(address)


@pytest.mark.parametrize(
    "host",
    [
        "127.1", "127.0.1", "2130706433", "0177.0.0.1", "0x7f.1", "0x7f000001", "017700000001", "127.0.0.1.", "1.2.3",
        "1.2.3.4.5", "127.0.0.0x1", "256.1.1.1", "%3127.0.0.1", "localhost%00.example.org", "[fe80::1%25eth0]",
        "127。0。0。1", "127．0．0．1", "127｡0｡0｡1", "１２７.0.0.1", "ⓔxample.org", "exa mple.org", "example.org\\",
    ],
)  # fmt: skip
@pytest.mark.parametrize("port", ["", ":8080"])
def test_a_host_that_could_be_read_in_two_ways_is_refused_before_anything_is_asked(host: str, port: str) -> None:
    with pytest.raises(FetchRefusedError):
        Fetcher(allow=["127.0.0.0/8"]).refuse_unless_allowed(f"http://{host}{port}/v2")


@pytest.mark.parametrize(
    "url",
    [
        "http://8.8.8.8/v2", "https://models.example.org:8443/v2?a=%20", "http://[2606:4700::1111]:80/",
        "http://münchen.example.org/", "http://xn--mnchen-3ya.example.org/", "http://1.example.org/", "http://0xa.org/",
        "http://models/v2",
    ],
)  # fmt: skip
def test_an_ordinary_address_is_taken(url: str) -> None:
    Fetcher().refuse_unless_allowed(url)
