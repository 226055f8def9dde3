"""What graphs run on: this machine's processor, or its GPU through ONNX Runtime's CUDA provider.

__main__ -> check; engine -> open_session
"""

from __future__ import annotations

import ctypes
from typing import Any, Literal

import onnxruntime as ort

Device = Literal["cpu", "cuda"]

PROVIDERS: dict[Device, list[Any]] = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": [
        (
            "CUDAExecutionProvider",
            {
                "use_tf32": "0",  # 10 bits of mantissa would not reproduce the golden samples
                "cudnn_conv_algo_search": "HEURISTIC",  # timing them would choose anew at each start
                "arena_extend_strategy": "kSameAsRequested",
            },
        ),
        "CPUExecutionProvider",
    ],
}


DRIVER = "libcuda.so.1"


class NoSuchDevice(ValueError):
    """A device that is not there; the message is one line that says what to do."""


def check(device: Device) -> None:
    """Make sure that ONNX Runtime was built for a device and that its driver is there.

    Raises:
        NoSuchDevice: it was not, or is not.
    """
    if device == "cpu":
        return
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        raise NoSuchDevice(
            "device: cuda needs onnxruntime-gpu in the place of onnxruntime; docs/gpu.md says how to get it"
        )
    try:
        ctypes.CDLL(DRIVER)
    except OSError:
        raise NoSuchDevice(
            f"device: cuda needs an NVIDIA GPU with its driver; there is no {DRIVER}"
        ) from None


def open_session(graph: bytes, device: Device) -> ort.InferenceSession:
    """Return a graph ready to run.

    Raises:
        NoSuchDevice: there is no GPU, or CUDA's libraries cannot be loaded.
        Exception: ONNX Runtime cannot take the graph; its errors share no base class but this.
    """
    if device == "cuda":
        ort.preload_dlls()
    session = ort.InferenceSession(graph, _options(device), providers=PROVIDERS[device])
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise NoSuchDevice("ONNX Runtime finds no GPU, or not the libraries of CUDA and cuDNN")
    return session


def _options(device: Device) -> ort.SessionOptions:
    """Return options for one thread and little memory.

    The arena keeps the largest batch's memory for ever (60 MB over eight small models) and was not faster.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    options.use_deterministic_compute = device == "cuda"
    return options
