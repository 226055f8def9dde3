"""A Ray cluster of two processors on this machine, for as long as standard input is open.

    python ray_cluster.py FOLDER

Its files go to FOLDER, whose path has to be short. Prints where it is, then for every line that it reads the
state of Serve's applications as JSON: {application: {"status": ..., "message": ..., "running": replicas}}.
"""

import json
import sys
from typing import Any

import ray
from ray import serve

context = ray.init(
    num_cpus=2,
    include_dashboard=False,
    log_to_driver=False,
    namespace="serve",
    object_store_memory=100_000_000,
    _temp_dir=sys.argv[1],
)


def state(application: Any) -> dict[str, Any]:
    deployments = application.deployments.values()
    return {
        "status": application.status,
        "message": application.message,
        "running": sum(one.replica_states.get("RUNNING", 0) for one in deployments),
    }


print(json.dumps(context.address_info["gcs_address"]), flush=True)
for _ in sys.stdin:
    found = serve.status().applications
    print(json.dumps({name: state(application) for name, application in found.items()}), flush=True)
serve.shutdown()
ray.shutdown()
