"""A worker in a process of its own, which tests may kill: it works until then.

`python -m tests.pipeline.worker_process HOST USER DATABASE`
"""

import sys
import time

import django

if __name__ == "__main__":
    django.setup()
    from django.db import connection

    from postbacks import pipeline
    from postbacks.infrastructure.database import roles
    from postbacks.rulebook import held_postbacks, queue_moves

    host, user, name = sys.argv[1:]
    connection.settings_dict.update(HOST=host, USER=user, NAME=name)
    connection.settings_dict["OPTIONS"]["assume_role"] = roles.WORKER
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        held_postbacks.work(5)
        queue_moves.move_queued(5)
        if not pipeline.work(5):
            time.sleep(0.01)
