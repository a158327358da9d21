"""The demo as a user has it, in a data folder that goes away with it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from postbacks.demo.child_processes import free_port
from tests.faults.demo_process import DemoProcess


@contextmanager
def running_demo(*arguments: str, history: bool = False) -> Iterator[DemoProcess]:
    """Start the demo, wait until its traffic is over, and stop it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="postbacks-test-"))
    demo = DemoProcess(folder / "data", *arguments, port=free_port(), history=history)
    try:
        demo.wait_for(lambda: "until Ctrl-C" in demo.said(), seconds=300)
        yield demo
        demo.stop()
    finally:
        if demo.process.poll() is None:
            demo.kill_everything()
        shutil.rmtree(folder, ignore_errors=True)
