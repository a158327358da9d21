"""The web server of the demo, the container and docs/production.md: `gunicorn`.

gunicorn finds this file in the folder that it is started in. What its command line or
GUNICORN_CMD_ARGS say counts more.
"""

import os
import resource

wsgi_app = "postbacks.wsgi:application"
worker_class = "postbacks.web.patient_worker.PatientWorker"
workers = int(os.environ.get("WEB_CONCURRENCY") or 4)
threads = 8
worker_connections = 4000  # of a process; those that send slowly cost no thread
limit_request_line = 8190  # tracking links with long parameters
control_socket_disable = True
preload_app = True  # a process that starts waits for no import, nor does its first request

_files, _most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
if _files < 8192 <= _most_files or _most_files == resource.RLIM_INFINITY:
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, _most_files))
