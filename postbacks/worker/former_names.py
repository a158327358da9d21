"""Tasks under the names by which the version before enqueued them, such as `postbacks.tasks.pump`.

They may wait in the queue of a plain `manage.py qcluster` while it is updated. `PostbacksConfig`
registers this module as `postbacks.tasks`; both go with the next version.
"""

from postbacks.worker import tasks

pump = tasks.run_pump
beat = tasks.beat
housekeeping = tasks.tidy_up
notice = tasks.enqueue_notices
tell_of_suspension = tasks.notify_of_suspension
forget_devices = tasks.erase_devices
claims = tasks.ask_apple
