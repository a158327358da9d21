"""The ports of the demo's servers: no outgoing connection may take one before its server does."""

from pathlib import Path

from postbacks.demo.child_processes import free_port


def test_the_system_gives_a_free_port_to_no_connection() -> None:
    system = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(system.read_text().split()[0]) if system.exists() else 49_152
    assert all(1024 < free_port() < first for _ in range(50))
