"""A local Ray whose Serve has one application, until it is told to stop."""

import os
import signal
import sys
import time

import ray
from ray import serve


def serve_until_told(application: serve.Application) -> None:
    """Serve an application on the port of the environment."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=200_000_000)
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(application, name="bench", route_prefix="/")

    def stop(*_: object) -> None:
        serve.shutdown()
        ray.shutdown()
        sys.exit()

    signal.signal(signal.SIGTERM, stop)
    while True:
        time.sleep(1)
