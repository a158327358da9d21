from ipaddress import ip_network

import pytest

from postbacks.delivery.http.destinations import Destinations, parse_networks, problem_with_url

MUST_BLOCK = [
    "0.0.0.0",  # noqa: S104
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff:ffff::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "2620:4f:8000::1",
    "3fff::1",
    "3fff:fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ffff::1",
]

MUST_ALLOW = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "192.0.3.1",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "2606:4700:4700::1111",
    "2a00:1450::1",
    "2620:4f:7fff::1",
    "3ffe::1",
]


@pytest.mark.parametrize("address", MUST_BLOCK)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert Destinations().refuse(address) is not None


@pytest.mark.parametrize("address", MUST_ALLOW)
def test_a_public_address_is_allowed(address: str) -> None:
    assert Destinations().refuse(address) is None


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "2130706433", "0x7f000001", "1.2.3.4/8"]
)
def test_what_is_not_an_address_is_refused(text: str) -> None:
    assert Destinations().refuse(text) == f"{text} is not an IP address."


def test_the_reason_says_what_kind_of_address_it_is() -> None:
    reason = Destinations().refuse("169.254.169.254")

    assert reason == "169.254.169.254 is not a public address (link-local or cloud metadata)."


def test_the_operators_networks_win() -> None:
    destinations = Destinations(parse_networks("10.20.0.0/16, fd00::/8"))

    assert destinations.refuse("10.20.30.40") is None
    assert destinations.refuse("::ffff:10.20.30.40") is None
    assert destinations.refuse("fd00::7") is None
    assert destinations.refuse("10.21.0.1") is not None
    assert destinations.refuse("127.0.0.1") is not None


def test_all_of_ipv4s_loopback_includes_ipv6s() -> None:
    assert Destinations(parse_networks("127.0.0.0/8")).refuse("::1") is None
    assert Destinations(parse_networks("127.0.0.1")).refuse("::1") is not None


def test_nat64_opens_no_way_to_a_private_ipv4_address() -> None:
    destinations = Destinations(parse_networks("64:ff9b::/96"))

    assert destinations.refuse("64:ff9b::808:808") is None
    assert destinations.refuse("64:ff9b::a9fe:a9fe") is not None


@pytest.mark.parametrize("port", [80, 443, 8080, 8443])
def test_web_ports_are_allowed(port: int) -> None:
    assert Destinations().refuse_port(port, "8.8.8.8") is None


@pytest.mark.parametrize("port", [1, 22, 25, 3306, 5432, 6379, 8000, 65535])
def test_other_ports_are_refused(port: int) -> None:
    reason = Destinations().refuse_port(port, "8.8.8.8")

    assert reason == f"Port {port} is not allowed; allowed are 80, 443, 8080, 8443."


def test_the_operator_chooses_the_ports() -> None:
    destinations = Destinations(allowed_ports={9000})

    assert destinations.refuse_port(9000) is None
    assert destinations.refuse_port(443) is not None


def test_any_port_is_allowed_inside_the_operators_networks() -> None:
    destinations = Destinations(parse_networks("127.0.0.0/8"))

    assert destinations.refuse_port(45123, "127.0.0.1") is None
    assert destinations.refuse_port(45123, "8.8.8.8") is not None
    assert destinations.refuse_port(45123) is not None


def test_networks_are_read_from_a_list() -> None:
    networks = parse_networks(" 127.0.0.0/8, ::1/128,,10.0.0.5 ")

    assert networks == (
        ip_network("127.0.0.0/8"),
        ip_network("::1/128"),
        ip_network("10.0.0.5/32"),
    )


@pytest.mark.parametrize("entry", ["localhost", "10.0.0.0/33", "10.0.0.1/8", "10.0.0", "::1::"])
def test_a_wrong_network_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match=f"“{entry}” is not a network"):
        parse_networks(f"127.0.0.0/8, {entry}")


@pytest.mark.parametrize(
    "url",
    [
        "https://partner.example",
        "https://partner.example/",
        "HTTPS://Partner.Example:8443/postback?id={{postback_id}}&n={{name || 'a b'}}#x",
        "http://partner.example:80?x=1",
        "https://partner.example./p",
        "https://a_b.partner.example/p@q\\r",
        "https://xn--e1afmkfd.example/",
        "https://8.8.8.8:8080/p",
        "https://[2606:4700:4700::1111]/p",
    ],
)
def test_a_public_url_has_no_problem(url: str) -> None:
    assert problem_with_url(url, Destinations()) is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "starts with https"),
        ("partner.example/p", "starts with https"),
        ("//partner.example/p", "starts with https"),
        (" https://partner.example/p", "starts with https"),
        ("ftp://partner.example/p", "starts with https"),
        ("file:///etc/passwd", "starts with https"),
        ("gopher://partner.example/", "starts with https"),
        ("https:partner.example", "starts with https"),
        ("https:///p", "host must be"),
        ("https://?x", "host must be"),
        ("https://user:password@partner.example/", "user name"),
        ("https://partner.example@10.0.0.1/", "user name"),
        ("https://partner.example\\@10.0.0.1/", "user name"),
        ("https://partner.example\\.evil.example/", "backslash"),
        ("https://partner.example%5c.evil.example/", "backslash"),
        ("https://partner.example%2f/", "host must be"),
        ("https://par tner.example/", "host must be"),
        ("https://partner.exa\tmple/", "host must be"),
        ("https://{{host}}/", "host must be"),
        ("https://приклад.укр/", "xn-- form"),
        ("https://①②⑦.⓪.⓪.①/", "host must be"),
        ("https://-a.example/", "not a host name"),
        ("https://a..example/", "not a host name"),
        ("https://.example/", "not a host name"),
        (f"https://{'a' * 64}.example/", "not a host name"),
        ("https://partner.example:0/", "not a port"),
        ("https://partner.example:65536/", "not a port"),
        ("https://partner.example:https/", "host must be"),
        ("https://partner.example:22/", "Port 22"),
        ("https://8.8.8.8:6379/", "Port 6379"),
        ("https://2130706433/", "four decimal numbers"),
        ("https://127.1/", "four decimal numbers"),
        ("https://0177.0.0.1/", "four decimal numbers"),
        ("https://0x7f.1/", "four decimal numbers"),
        ("https://0x7f000001/", "four decimal numbers"),
        ("https://127.0.0.1.:443/", "loopback"),
        ("https://127.0.0.1/", "loopback"),
        ("https://169.254.169.254/latest/meta-data/", "metadata"),
        ("https://[::1]/", "not a public address"),
        ("https://[::ffff:127.0.0.1]/", "loopback"),
        ("https://[::ffff:7f00:1]/", "loopback"),
        ("https://[0:0:0:0:0:0:0:1]/", "not a public address"),
        ("https://[fe80::1%25eth0]/", "host must be"),
        ("https://[1:2]/", "not an IPv6 address"),
        ("https://localhost/", "not a public host name"),
        ("https://intranet/", "not a public host name"),
        ("https://db.internal/", "not a public host name"),
        ("https://METADATA.google.INTERNAL./", "not a public host name"),
        ("https://printer.local/", "not a public host name"),
        ("https://a.lan/", "not a public host name"),
        ("https://a.home.arpa/", "not a public host name"),
        ("https://a.corp/", "not a public host name"),
        ("https://a.consul/", "not a public host name"),
        ("https://api.default.svc.cluster.local/", "not a public host name"),
        ("https://a.localhost/", "not a public host name"),
    ],
)
def test_a_url_that_leads_elsewhere_is_explained(url: str, reason: str) -> None:
    problem = problem_with_url(url, Destinations())

    assert problem is not None
    assert reason in problem


def test_loopback_can_be_named_where_the_operator_opened_it() -> None:
    destinations = Destinations(parse_networks("127.0.0.0/8"))

    assert problem_with_url("http://127.0.0.1:45123/p", destinations) is None
    assert problem_with_url("http://[::1]:45123/p", destinations) is None
    assert problem_with_url("http://localhost:45123/p", destinations) is None
    assert problem_with_url("http://10.0.0.1/p", destinations) is not None
    assert problem_with_url("https://partner.example:45123/p", destinations) is not None


def test_internal_names_can_be_used_where_the_operator_opened_a_network() -> None:
    destinations = Destinations(parse_networks("10.0.0.0/8"))

    assert problem_with_url("http://clickhouse:8123/", destinations) is None
    assert problem_with_url("http://bi.corp/", destinations) is None
    assert problem_with_url("http://localhost/", destinations) is not None
