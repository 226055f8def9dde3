"""Our application on Ray Serve, one replica as deploy/ray/serve.yaml has it.

python -m benchmarks.serving.peers.ray_replica
"""

import os
import signal
import sys
import time

import ray
from ray import serve

from service.ray_serve import app


def main() -> None:
    """Serve until told to stop."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=200_000_000)
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(app({"allow_no_key": True}), name="bench", route_prefix="/")

    def stop(*_: object) -> None:
        serve.shutdown()
        ray.shutdown()
        sys.exit()

    signal.signal(signal.SIGTERM, stop)
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main()
