"""How the models fare, as Triton's clients ask it: counts and nanoseconds, summed over the workers."""

from __future__ import annotations

from typing import Any

from service.observability.metrics import Sums
from service.protocols.inference.operations import Served

NOTHING = {"count": 0, "ns": 0}
"""Of phases that are measured over all models together (`latent_phase_seconds`)."""


def of(served: Served, sums: Sums) -> dict[str, Any]:
    """Return the statistics of one model.

    Requests are counted where they came by this protocol; rows and runs are those of the graphs, which
    other routes keep busy as well.
    """
    model, operation = served.model.manifest.name, served.operation
    graphs = [key for key in served.model.manifest.graphs() if key.partition(".")[0] == operation]

    def of_graphs(sample: str) -> float:
        return sum(sums.of(sample, model=model, graph=graph) for graph in graphs)

    def of_requests(outcome: str) -> dict[str, int]:
        labels = {"model": model, "operation": operation, "outcome": outcome}
        count = sums.of("latent_inference_seconds_count", **labels)
        return {"count": round(count), "ns": round(sums.of("latent_inference_seconds_sum", **labels) * 1e9)}

    runs, seconds = of_graphs("latent_batch_rows_count"), of_graphs("latent_run_seconds_sum")
    return {
        "name": served.name,
        "version": str(served.model.manifest.version),
        "last_inference": round(sums.of("latent_inference_last_ms", model=model, operation=operation)),
        "inference_count": round(of_graphs("latent_batch_rows_sum")),
        "execution_count": round(runs),
        "inference_stats": {
            "success": of_requests("success"),
            "fail": of_requests("fail"),
            "queue": NOTHING,
            "compute_input": NOTHING,
            "compute_infer": {"count": round(runs), "ns": round(seconds * 1e9)},
            "compute_output": NOTHING,
            "cache_hit": NOTHING,
            "cache_miss": NOTHING,
        },
        "batch_stats": [],
    }
