"""Says at the end how much the isolation sweep tried."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report the number of requests of each run, by the role of who made them."""
    from tests.isolation.sweep import runs  # not before Django is set up

    for number, made in enumerate(runs, 1):
        shares = ", ".join(f"{count:,} as {role}" for role, count in made.items())
        terminalreporter.write_line(
            f"Isolation sweep {number}: {made.total():,} requests: {shares}."
        )
