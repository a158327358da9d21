"""Says at the end how much the isolation sweep tried."""

from collections import Counter

import pytest

_SHARED_OUT = "isolation_sweeps"


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand over what this process has tried, where a run is shared out to several."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[_SHARED_OUT] = [
            {str(role): count for role, count in made.items()} for made in _runs()
        ]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take over what another process has tried."""
    shared = getattr(node, "workeroutput", {}).get(_SHARED_OUT, [])
    _runs().extend(Counter(made) for made in shared)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report the number of requests of each run, by the role of who made them."""
    for number, made in enumerate(_runs(), 1):
        shares = ", ".join(f"{count:,} as {role}" for role, count in made.items())
        terminalreporter.write_line(
            f"Isolation sweep {number}: {made.total():,} requests: {shares}."
        )


def _runs() -> list[Counter[str]]:
    from tests.isolation.sweep import runs  # not before Django is set up

    return runs
