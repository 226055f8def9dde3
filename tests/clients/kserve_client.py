"""Ask a service as a user of KServe's client would: python kserve_client.py URL"""

import asyncio
import json
import sys

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferOutput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

LATENTS = np.linspace(-1, 1, 160, dtype=np.float32).reshape(40, 4)[:3]


def request(name: str, *, binary: bool) -> InferRequest:
    latents = InferInput(name, list(LATENTS.shape), "FP32")
    latents.set_data_from_numpy(LATENTS, binary_data=binary)
    outputs = [RequestedOutput("images", parameters={"binary_data": True})] if binary else None
    return InferRequest("tiny.decode", [latents], "my-42", request_outputs=outputs)


async def main(url: str) -> dict[str, object]:
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    found: dict[str, object] = {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model_ready": await client.is_model_ready(url, "tiny.decode"),
        "missing_ready": await client.is_model_ready(url, "nowhere.decode"),
    }
    for way in ("json", "binary"):
        answer = await client.infer(url, request("latents", binary=way == "binary"), model_name="tiny.decode")
        (output,) = answer.outputs
        assert isinstance(output, InferOutput)
        found[way] = {
            "id": answer.id,
            "shape": list(output.shape),
            "values": output.as_numpy().ravel().tolist(),
        }
    try:
        await client.infer(url, request("codes", binary=False), model_name="tiny.decode")
    except httpx.HTTPStatusError as error:
        found["refused"] = str(error)
    await client.close()
    return found


print(json.dumps(asyncio.run(main(sys.argv[1]))))
