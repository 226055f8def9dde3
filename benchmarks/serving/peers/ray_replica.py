"""Our application on Ray Serve, one replica as deploy/ray/serve.yaml has it.

python -m benchmarks.serving.peers.ray_replica
"""

from benchmarks.serving.peers.ray_process import serve_until_told
from service.ray_serve import app

if __name__ == "__main__":
    serve_until_told(app({"allow_no_key": True}))
