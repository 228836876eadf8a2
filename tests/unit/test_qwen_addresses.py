"""The addresses that the download guard allows: none in a private network, in any spelling."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from qwen.addresses import AllowedHosts, check_image_url, check_redirect, is_public
from qwen.errors import ImageUrlRefused

ANYWHERE = AllowedHosts()


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example.com/image.png",
        "https://cdn.example.com:443/image.png",
        "https://CDN.Example.com./image.png",
        "https://bücher.example/bild.png",
        "https://8.8.8.8/image.png",
        "https://[2606:4700::1111]/image.png",
        "https://[::ffff:8.8.8.8]/image.png",
        "HTTPS://cdn.example.com/image.png",
    ],
)
def test_any_public_https_host_may_be_fetched_from_when_none_is_named(url: str) -> None:
    assert check_image_url(url, ANYWHERE).scheme == "https"


def test_a_signed_address_is_dialled_exactly_as_it_was_written() -> None:
    url = "https://cdn.example.com/a%2Fb%20c.png?X-Sig=a%2Bb%2F%3D%3D&plus=1+2&e=%E2%9C%93"
    assert str(check_image_url(url, ANYWHERE)) == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://cdn.example.com/i.png", "it is not https"),
        ("ftp://cdn.example.com/i.png", "it is not https"),
        ("file:///etc/passwd", "it names no host or port"),
        ("data:image/png;base64,AAAA", "it names no host or port"),
        ("//cdn.example.com/i.png", "it names no host or port"),
        ("cdn.example.com/i.png", "it names no host or port"),
        ("", "it is not an address"),
        ("https://", "it names no host or port|it is not an address"),
        ("https:///i.png", "it names no host or port|it is not an address"),
        ("https://cdn.example.com:8443/i.png", "its port is not 443"),
        ("https://cdn.example.com:80/i.png", "its port is not 443"),
        ("https://cdn.example.com:0/i.png", "it names no host or port"),
        ("https://cdn.example.com:99999/i.png", "it is not an address"),
        ("https://cdn.example.com:abc/i.png", "it is not an address"),
        ("https://user@cdn.example.com/i.png", "it holds a user name"),
        ("https://user:pw@cdn.example.com/i.png", "it holds a user name"),
        ("https://@cdn.example.com/i.png", "it holds a user name"),
        ("https://cdn.example.com\\@127.0.0.1/i.png", "it is not an address"),
        ("https://cdn.example.com /i.png", "it is not an address"),
        ("https://cdn.example.com/i.png\r\nHost: x", "it is not an address"),
        ("https://cdn.example.com/" + "x" * 9000, "it is not an address"),
        ("https://127.0.0.1/i.png", "its host is not a public address"),
        ("https://10.0.0.1/i.png", "its host is not a public address"),
        ("https://192.168.1.1/i.png", "its host is not a public address"),
        ("https://169.254.169.254/latest/meta-data", "its host is not a public address"),
        ("https://100.64.0.1/i.png", "its host is not a public address"),
        ("https://0.0.0.0/i.png", "its host is not a public address"),
        ("https://224.0.0.1/i.png", "its host is not a public address"),
        ("https://255.255.255.255/i.png", "its host is not a public address"),
        ("https://[::1]/i.png", "its host is not a public address"),
        ("https://[::]/i.png", "its host is not a public address"),
        ("https://[fe80::1]/i.png", "its host is not a public address"),
        ("https://[fd00::1]/i.png", "its host is not a public address"),
        ("https://[ff02::1]/i.png", "its host is not a public address"),
        ("https://[::ffff:127.0.0.1]/i.png", "its host is not a public address"),
        ("https://[::ffff:7f00:1]/i.png", "its host is not a public address"),
        ("https://[::127.0.0.1]/i.png", "its host is not a public address"),
        ("https://[2002:7f00:1::]/i.png", "its host is not a public address"),
        ("https://[64:ff9b::10.0.0.1]/i.png", "its host is not a public address"),
        ("https://[2001:0:7f00:1::]/i.png", "its host is not a public address"),
        ("https://[2606:4700::1111%25eth0]/i.png", "its host is not a public address|it is not an address"),
        ("https://2130706433/i.png", "its host is not a public address"),
        ("https://127.1/i.png", "its host is not a public address"),
        ("https://0/i.png", "its host is not a public address"),
        ("https://0177.0.0.1/i.png", "its host is not a public address"),
        ("https://127%2e0.0.1/i.png", "its host is not a name|it is not an address"),
        ("https://cdn..example.com/i.png", "its host is not a name|it is not an address"),
        ("https://-cdn.example.com/i.png", "its host is not a name|it is not an address"),
        ("https://１２７.0.0.1/i.png", "its host is not a public address|it is not an address"),
    ],
)
def test_private_or_misleading_addresses_are_refused(url: str, reason: str) -> None:
    with pytest.raises(ImageUrlRefused) as caught:
        check_image_url(url, ANYWHERE)
    assert re.fullmatch(reason, caught.value.reason)


@given(st.text(max_size=60) | st.text(max_size=60).map(lambda text: f"https://{text}"))
def test_any_text_is_checked_or_refused_and_never_repeated(text: str) -> None:
    try:
        url = check_image_url(text, ANYWHERE)
    except ImageUrlRefused as error:
        assert len(text) < 12 or text not in str(error)
    else:
        assert (url.scheme, url.port) == ("https", 443)


@given(st.ip_addresses(v=4))
def test_a_wrapped_ipv4_address_is_public_only_if_the_inner_one_is(ip: IPv4Address) -> None:
    bare, number = is_public(str(ip)), int(ip)
    mapped, six_to_four, nat64 = (0xFFFF << 32) | number, (0x2002 << 112) | (number << 80), (0x64FF9B << 96) | number
    for wrapped in (mapped, six_to_four, nat64):
        assert is_public(str(IPv6Address(wrapped))) == bare


@given(st.ip_addresses())
def test_nothing_private_is_ever_public(ip: IPv4Address | IPv6Address) -> None:
    if isinstance(ip, IPv6Address) and (ip.ipv4_mapped or ip.sixtofour or ip in IPv6Network("64:ff9b::/96")):
        return  # covered by the test above
    odd = ip.is_private or ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved
    assert not (odd and is_public(str(ip)))


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "0x7f000001", "1.2.3", "fe80::1%eth0"])
def test_a_text_that_is_no_address_is_not_public(text: str) -> None:
    assert is_public(text) is False


# --- redirects ------------------------------------------------------------------------------------------------------

BASE = URL("https://cdn.example.com/a/i.png?sig=canary", encoded=True)


@pytest.mark.parametrize(
    ("location", "address"),
    [
        ("https://store.example.com/i.png?X-Sig=a%2Bb%2F", "https://store.example.com/i.png?X-Sig=a%2Bb%2F"),
        ("//store.example.com/i.png", "https://store.example.com/i.png"),
        ("/b/i.png", "https://cdn.example.com/b/i.png"),
        ("j.png", "https://cdn.example.com/a/j.png"),
        ("../j.png", "https://cdn.example.com/j.png"),
        ("?v=2", "https://cdn.example.com/a/i.png?v=2"),
        ("#part", "https://cdn.example.com/a/i.png?sig=canary#part"),
    ],
)
def test_a_redirect_is_resolved_against_the_address_that_answered(location: str, address: str) -> None:
    assert str(check_redirect(BASE, [location], ANYWHERE)) == address


@pytest.mark.parametrize(
    "locations",
    [
        [],
        [""],
        [" "],
        ["/b", "/b"],
        ["/é"],
        ["/\udce9"],
        ["https://bücher.example/i.png"],
        ["/a b"],
        ["/a\tb"],
        ["/\\127.0.0.1/"],
        ["https://[::1"],
        ["https:"],
        ["https:j.png"],
        ["https://"],
        ["https:///i.png"],
        ["//"],
        ["x" * 8193],
        ["http://cdn.example.com/i.png"],
        ["https://me@cdn.example.com/i.png"],
        ["//me@cdn.example.com/i.png"],
        ["//127.0.0.1/i.png"],
        ["https://cdn.example.com:444/i.png"],
        ["ftp://cdn.example.com/i.png"],
        ["javascript:alert(1)"],
    ],
)
def test_a_redirect_to_a_forbidden_address_is_refused_without_repeating_it(locations: list[str]) -> None:
    with pytest.raises(ImageUrlRefused) as caught:
        check_redirect(BASE, locations, ANYWHERE)
    assert "example" not in str(caught.value)
    if len(locations) != 1:
        assert caught.value.reason == "it redirects without saying where"
    elif not locations[0].isascii():
        assert caught.value.reason == "where it redirects to: it is not an address"
    else:
        assert caught.value.reason.startswith("where it redirects to: it")


@given(st.text(max_size=60) | st.text(max_size=60).map(lambda text: f"//{text}"))
def test_any_redirect_leads_to_a_public_https_address_or_is_refused(location: str) -> None:
    try:
        url = check_redirect(BASE, [location], ANYWHERE)
    except ImageUrlRefused:
        return
    assert check_image_url(str(url), ANYWHERE)


def test_between_named_hosts_a_redirect_may_stay_on_http_and_never_leads_from_https_to_http() -> None:
    named = AllowedHosts.parse({"mirror.example", "10.0.0.7:8025"})
    there = "http://10.0.0.7:8025/i.png"
    assert str(check_redirect(URL("http://mirror.example/"), [there], named)) == there
    with pytest.raises(ImageUrlRefused, match=r"where it redirects to: it is not https any more$"):
        check_redirect(URL("https://mirror.example/"), [there], named)
    for location in ("http://10.0.0.7:8026/i.png", "http://other.example/i.png", "https://other.example/i.png"):
        with pytest.raises(ImageUrlRefused, match="QWEN_IMAGE_HOSTS"):
            check_redirect(URL("http://mirror.example/"), [location], named)


# --- hosts that are named -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("cdn.example.com", "https://cdn.example.com/i.png"),
        ("cdn.example.com", "http://CDN.example.com.:8080/i.png"),
        ("127.0.0.1", "http://127.0.0.1:8025/image-api/cdn/1.png"),
        ("127.0.0.1:8025", "http://127.0.0.1:8025/i.png"),
        ("localhost", "http://localhost:9/i.png"),
        (".example.com", "https://a.b.example.com/i.png"),
        (".example.com:8443", "https://a.example.com:8443/i.png"),
        ("[::1]:8025", "http://[0:0:0:0:0:0:0:1]:8025/i.png"),
        ("[::1]", "http://[::1]/i.png"),
        ("[FD00::A]:8025", "http://[fd00::a]:8025/i.png"),
        ("10.0.0.7", "https://10.0.0.7/i.png"),
        (" CDN.Example.com ", "https://cdn.example.com/i.png"),
    ],
)
def test_a_named_host_may_be_plain_http_private_and_on_any_port(entry: str, url: str) -> None:
    assert check_image_url(url, AllowedHosts.parse({entry}))


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("cdn.example.com", "https://other.example.com/i.png"),
        ("cdn.example.com", "https://evilcdn.example.com/i.png"),
        ("cdn.example.com", "https://cdn.example.com.evil.example/i.png"),
        ("cdn.example.com", "ftp://cdn.example.com/i.png"),
        ("cdn.example.com", "https://me@cdn.example.com/i.png"),
        (".example.com", "https://example.com/i.png"),
        (".example.com", "https://evilexample.com/i.png"),
        ("127.0.0.1:8025", "http://127.0.0.1:8026/i.png"),
        ("127.0.0.1:8025", "http://127.0.0.1/i.png"),
        ("127.0.0.1", "http://[::ffff:127.0.0.1]/i.png"),
        ("127.0.0.1", "http://2130706433/i.png"),
        ("127.0.0.1", "http://127.1/i.png"),
    ],
)
def test_with_named_hosts_every_other_one_is_refused(entry: str, url: str) -> None:
    with pytest.raises(ImageUrlRefused) as caught:
        check_image_url(url, AllowedHosts.parse({entry}))
    assert caught.value.reason in (
        "it is neither https nor http" if url.startswith("ftp:") else "its host is not named in QWEN_IMAGE_HOSTS",
        "it holds a user name",
    )


@pytest.mark.parametrize(
    "entry",
    [
        "",
        " ",
        "https://cdn.example.com",
        "a/b",
        "host:0",
        "host:65536",
        "host:x",
        "127.1",
        "2130706433",
        ".127.0.0.1",
        "a..b",
        ".",
        "*.example.com",
        "[::1",
        "user@host",
    ],
)
def test_an_entry_that_names_no_host_is_refused_with_a_sentence(entry: str) -> None:
    with pytest.raises(ValueError) as caught:
        AllowedHosts.parse({f" {entry} "})
    sentence = "is not a host such as cdn.example.com, 127.0.0.1:8025 or .example.com."
    assert str(caught.value) == f"{entry.strip()!r} {sentence}"
