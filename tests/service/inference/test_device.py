"""What graphs run on, and what there is to say where it is not there."""

import re

import onnxruntime as ort
import pytest

from service.inference.device import NoSuchDevice, check, open_session
from support.tiny_checkpoints import describe_tiny

GRAPH = describe_tiny(operations=("decode",))[1]["decode.onnx"]


def test_there_is_always_a_processor():
    check("cpu")
    assert open_session(GRAPH, "cpu").get_providers() == ["CPUExecutionProvider"]


def test_a_graph_runs_on_one_thread_and_keeps_no_memory():
    options = open_session(GRAPH, "cpu").get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert not options.enable_cpu_mem_arena
    assert not options.enable_mem_pattern


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="it knows of GPUs")
def test_a_gpu_that_is_not_there_is_one_line_that_says_what_to_do():
    with pytest.raises(NoSuchDevice) as refusal:
        check("cuda")
    assert re.fullmatch("device: cuda needs onnxruntime-gpu .* docs/gpu.md .*", str(refusal.value))


def test_what_is_no_graph_cannot_be_opened():
    with pytest.raises(Exception, match=r"(?i)model|protobuf|graph"):
        open_session(b"nothing", "cpu")
