"""The folder that a supervisor and its workers share: where it lies, and what its parts are called."""

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a folder of its own is made in it
"""Where files are that all workers use, if the system has it: nothing deletes them there while they run."""

METRICS, DRIFT = "metrics", "drift"
"""The folders in it."""

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder of the workers' metrics; prometheus_client reads it once, on import."""
