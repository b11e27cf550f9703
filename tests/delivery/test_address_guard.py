"""Which addresses webhooks may reach, in every spelling."""

import errno
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanal.delivery.address_guard import AddressGuard, AddressRefused

GUARD = AddressGuard()
LOCAL = AddressGuard([ip_network("127.0.0.0/8")])

INNER_V4 = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200",
    "100.127.255.255", "127.0.0.1", "127.255.255.254", "168.63.129.16", "169.254.0.1",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1",
    "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
]  # fmt: skip
PUBLIC_V4 = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
    "126.255.255.255", "128.0.0.1", "169.253.255.255", "169.255.0.0", "172.15.255.255",
    "172.32.0.0", "192.0.1.1", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
    "223.255.255.255",
]  # fmt: skip
INNER_V6 = [
    "::", "::1", "::2", "::7f00:1", "::127.0.0.1", "::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8",
    "64:ff9b:1::1", "64:ff9b:1::808:808", "100::1", "100:0:0:1::1", "200::1", "1000::1",
    "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:10::1", "2001:20::1",
    "2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1", "4000::1", "5f00::1",
    "fc00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1",
    "feff::1", "ff02::1", "ff0e::1", "2a00:1450:4001::5efe:a00:1", "2a00::200:5efe:808:808",
]  # fmt: skip
PUBLIC_V6 = ["2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "2001:4860:4860::8888", "2400::1"]

V4 = st.integers(0, 2**32 - 1).map(IPv4Address)
INNER = st.sampled_from(
    [
        ip_network(network)
        for network in (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
            "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
        )
    ]
).flatmap(
    lambda network: st.integers(0, network.num_addresses - 1).map(
        lambda offset: IPv4Address(int(network.network_address) + offset)
    )
)  # fmt: skip

FULLWIDTH = str.maketrans("0123456789abcdefx", "０１２３４５６７８９ａｂｃｄｅｆｘ")


def spellings(address: IPv4Address) -> list[str]:
    """Forms of one IPv4 address that some resolver or browser takes for it."""
    number = int(address)
    a, b, c, d = address.packed
    dotted = str(address)
    return [
        dotted,
        dotted + ".",
        str(number),
        hex(number),
        hex(number).upper().replace("0X", "0x"),
        f"0{number:o}",
        f"{a}.{number & 0xFFFFFF}",
        f"{a}.{b}.{number & 0xFFFF}",
        f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"{a:#x}.{b}.0{c:o}.{d}",
        f"000{a:o}.{b}.{c}.{d}",
        dotted.translate(FULLWIDTH),
        dotted.replace(".", "。"),
        dotted.replace(".", "．"),
        dotted.replace(".", "｡"),
        f"[::ffff:{dotted}]",
        f"[::ffff:{a:02x}{b:02x}:{c:02x}{d:02x}]",
        f"[0:0:0:0:0:FFFF:{dotted}]",
        f"[64:ff9b::{dotted}]",
        f"[::{dotted}]",
        f"[2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1]",
    ]


@pytest.mark.parametrize("address", INNER_V4 + INNER_V6)
def test_address_that_is_not_public_unicast_is_refused(address: str) -> None:
    assert GUARD.verdict(address)


@pytest.mark.parametrize("address", PUBLIC_V4 + PUBLIC_V6)
def test_public_address_may_be_called(address: str) -> None:
    assert GUARD.verdict(address) is None


@given(V4)
def test_wrapped_in_ipv6_an_ipv4_address_counts_as_itself(address: IPv4Address) -> None:
    plain = GUARD.verdict(address)
    assert GUARD.verdict(f"::ffff:{address}") == plain
    assert GUARD.verdict(f"64:ff9b::{address}") == plain


@given(V4)
def test_ipv4_that_python_knows_to_be_inner_is_refused(address: IPv4Address) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert GUARD.verdict(address)


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_ipv6_outside_global_unicast_is_refused(address: IPv6Address) -> None:
    wraps_ipv4 = address.ipv4_mapped or address in ip_network("64:ff9b::/96")
    if int(address) >> 125 != 0b001 and not wraps_ipv4:
        assert GUARD.verdict(address)
    if not address.is_global and not wraps_ipv4:
        assert GUARD.verdict(address)


@given(V4, st.integers(0, 2**64 - 1), st.sampled_from([0x00005EFE, 0x02005EFE]))
def test_isatap_is_refused_under_any_prefix(address: IPv4Address, prefix: int, mark: int) -> None:
    assert GUARD.verdict(IPv6Address(prefix << 64 | mark << 32 | int(address)))


def test_allowed_network_wins_and_only_it() -> None:
    for allowed in ("127.0.0.1", "127.9.9.9", "::ffff:127.0.0.1", "64:ff9b::7f00:1"):
        assert LOCAL.verdict(allowed) is None
    for refused in ("::1", "10.0.0.1", "2002:7f00:1::", "::7f00:1"):
        assert LOCAL.verdict(refused)
    assert AddressGuard([ip_network("fd00::/8")]).verdict("fd00::5") is None


def test_every_refusal_says_what_the_address_is() -> None:
    assert GUARD.verdict("127.0.0.1") == "a loopback address"
    assert GUARD.verdict("169.254.169.254") == "a cloud metadata address"
    assert GUARD.verdict("::1") == "a loopback address"
    assert GUARD.verdict("64:ff9b::a00:1") == "a private address"


def test_socket_for_a_refused_address_is_never_made() -> None:
    with pytest.raises(AddressRefused) as refused:
        GUARD.socket_factory((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 80)))
    assert isinstance(refused.value, OSError)
    assert refused.value.errno == errno.EACCES
    assert (refused.value.address, refused.value.reason) == ("10.0.0.1", "a private address")


def test_socket_for_an_allowed_address_is_made() -> None:
    info = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))
    with LOCAL.socket_factory(info) as made:
        assert made.family == socket.AF_INET


@given(INNER.flatmap(lambda address: st.sampled_from(spellings(address))))
def test_url_of_an_inner_address_is_refused_in_every_spelling(host: str) -> None:
    for url in (f"http://{host}/hook", f"https://{host}:8443/hook", f"HTTP://{host}"):
        refusal = GUARD.check_url(url)
        assert refusal is not None
        assert refusal.by_policy, refusal.sentence


@given(V4.flatmap(lambda address: st.sampled_from(spellings(address)[1:])))
def test_url_of_any_address_in_an_odd_spelling_is_refused_or_means_a_public_one(host: str) -> None:
    # What is let through is dialled as checked: the guard at the socket sees the same address.
    if GUARD.check_url(f"http://{host}/") is None:
        assert host.isascii() is False or host.startswith("[")


@given(V4)
def test_public_address_in_its_usual_form_is_accepted(address: IPv4Address) -> None:
    assert (GUARD.check_url(f"http://{address}/") is None) == (GUARD.verdict(address) is None)


@pytest.mark.parametrize(
    "host",
    [
        "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7F.1", "0177.0.0.1", "017700000001",
        "0", "0x", "127.0.0.1.", "[::ffff:127.0.0.1]", "[::]", "[::1]", "[0:0:0:0:0:0:0:1]",
        "１２７.0.0.1", "①②⑦.0.0.1", "127。0。0。1", "localhost", "LocalHost", "localhost.",
        "app.localhost", "ⓛocalhost", "ｌｏｃａｌｈｏｓｔ", "169.254.169.254", "[fd00:ec2::254]",
        "[fe80::1%25eth0]", "[64:ff9b::127.0.0.1]",
    ],
)  # fmt: skip
def test_url_that_leads_inside_is_refused_because_of_where_it_leads(host: str) -> None:
    refusal = GUARD.check_url(f"http://{host}/")
    assert refusal is not None
    assert refusal.by_policy
    assert "KANAL_WEBHOOK_ALLOW" in refusal.sentence


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http:example.com",
        "http://",
        "http:///path",
        "http://:80/",
        "http://user@example.com/",
        "http://user:secret@example.com/",
        "http://@example.com/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:port/",
        "http://example.com:-1/",
        "http://example.com/#part",
        "http://example.com\\@127.0.0.1/",
        " http://example.com/",
        "http://example.com/ ",
        "http://exa mple.com/",
        "http://example.com/\r\nX: y",
        "http://example.com/\t",
        "http://127.0.0.1\u00ad/",
        "http://loc\u200dalhost/",
        "http://[::1/",
        "http://[nonsense]/",
        "http://1.2.3.4.5/",
        "http://256.1.1.1/",
        "http://1.2.3.09/",
        "http://a..example/",
        "http://.example/",
        "http://%31%32%37.0.0.1/",
        "http://" + "a" * 64 + ".example/",
        "http://" + "a." * 130 + "example/",
        "http://example.com/" + "x" * 2048,
        "http://\ud800.example/",
    ],
)
def test_url_that_can_never_be_called_is_refused(url: str) -> None:
    refusal = GUARD.check_url(url)
    assert refusal is not None
    assert not refusal.by_policy
    assert refusal.sentence.startswith("This Webhook URL cannot be called: ")
    assert refusal.sentence.endswith(".")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://example.com/",
        "HTTPS://Example.COM:8443/a/b?c=d&e=/@",
        "http://example.com:/",
        "http://example.com./hook",
        "https://поддержка.рф/хук?q=ё",
        "https://xn--80aesfpebagmfblc0a.xn--p1ai/",
        "http://my_app:8080/hook",
        "http://receiver/",
        "http://8.8.8.8/",
        "http://[2606:4700:4700::1111]:8080/",
        "http://localhost.example.com/",
        "http://127.0.0.1.nip.io/",
        "http://0x7f.example/",
        "https://example.com/" + "x" * 2000,
    ],
)
def test_url_that_may_work_is_accepted(url: str) -> None:
    assert GUARD.check_url(url) is None


def test_localhost_may_be_saved_when_one_of_its_addresses_is_allowed() -> None:
    assert LOCAL.check_url("http://localhost:8081/hook") is None
    assert LOCAL.check_url("http://127.0.0.1:8081/hook") is None
    assert AddressGuard([ip_network("10.0.0.0/8")]).check_url("http://localhost/") is not None


@given(st.text())
def test_no_text_breaks_the_check(text: str) -> None:
    GUARD.check_url(text)
    GUARD.check_url(f"http://{text}/")
    GUARD.check_url(f"http://[{text}]:80/")


def test_allow_list_is_of_networks_of_both_families() -> None:
    guard = AddressGuard([IPv4Network("192.168.1.0/24"), ip_network("::1/128")])
    assert guard.verdict("192.168.1.7") is None
    assert guard.verdict("::1") is None
    assert guard.verdict("192.168.2.7")
