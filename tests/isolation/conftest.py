"""Says at the end how much the isolation sweep tried."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report the number of requests, by the role of who made them."""
    from tests.isolation.sweep import requests_made  # not before Django is set up

    if total := requests_made.total():
        shares = ", ".join(f"{count:,} as {role}" for role, count in requests_made.items())
        terminalreporter.write_line(f"The isolation sweep made {total:,} requests: {shares}.")
