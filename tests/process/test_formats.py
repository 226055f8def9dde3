"""Archives, lines and qualities: the same images as in JSON, in other forms."""

import base64
import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
from httpx import Client, Response
from PIL import Image

from service.media import png, zip_archives
from support.problem_json import check_problem

ZIP, NDJSON = "application/zip", "application/x-ndjson"
FOUR = {"labels": ["Bag", 2, 0, "ankle boot"], "seed": 7}
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 8, 8), np.uint8)
FILES = [png.write(one) for one in PIXELS]
TEXTS = [base64.b64encode(file).decode() for file in FILES]


def lines(response: Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == NDJSON
    assert response.content.endswith(b"\n")
    return [json.loads(line) for line in response.content.splitlines()]


def send_lines(client: Client, path: str, texts: list[str], **headers: str) -> Response:
    body = b"".join(json.dumps({"image": text}).encode() + b"\n" for text in texts)
    return client.post(path, content=body, headers={"content-type": NDJSON, **headers})


class TestArchives:
    def test_images_are_named_by_their_seeds(self, client: Client) -> None:
        expected = client.post("/generate", json=FOUR | {"return_latents": True}).json()
        answer = client.post("/generate", json=FOUR | {"return_latents": True}, headers={"accept": ZIP})
        assert answer.headers["content-type"] == ZIP
        assert answer.headers["x-latent-seeds"] == "7,8,9,10"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.testzip() is None
            assert archive.namelist() == ["7.png", "8.png", "9.png", "10.png", "answer.json"]
            files = [archive.read(name) for name in archive.namelist()[:-1]]
            said = json.loads(archive.read("answer.json"))
        assert files == [base64.b64decode(image) for image in expected["images"]]
        expected.pop("images")
        assert said | {"request_id": ""} == expected | {"request_id": ""}

    def test_images_without_seeds_are_numbered(self, client: Client) -> None:
        body = {"images": TEXTS[:2], "to": "boots", "cycle": True}
        expected = client.post("/translate", json=body).json()
        answer = client.post("/translate", json=body, headers={"accept": ZIP})
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.namelist() == ["0.png", "1.png", "cycle/0.png", "cycle/1.png", "answer.json"]
            assert archive.read("cycle/1.png") == base64.b64decode(expected["cycle"]["images"][1])
            said = json.loads(archive.read("answer.json"))
        assert said["cycle"] == {"l1": expected["cycle"]["l1"]}
        assert (said["from"], said["to"]) == ("bags", "boots")

    @pytest.mark.parametrize("path", ["/encode", "/reconstruct", "/translate?to=boots"])
    def test_an_archive_is_taken_wherever_images_are(self, client: Client, path: str) -> None:
        raw = zip_archives.write([(f"{i}", file) for i, file in enumerate(FILES)])
        answer = client.post(path, content=raw, headers={"content-type": ZIP}).json()
        expected = client.post(path, files=[("images", file) for file in FILES]).json()
        assert answer | {"request_id": ""} == expected | {"request_id": ""}

    def test_what_one_route_gives_another_takes(self, client: Client) -> None:
        drawn = client.post("/generate", json=FOUR, headers={"accept": ZIP}).content
        answer = client.post("/encode", content=drawn, headers={"content-type": ZIP})
        assert len(answer.json()["latents"]) == 4

    def test_what_is_wrong_with_an_archive_is_said(self, client: Client) -> None:
        def refuse(raw: bytes, status: int, code: str) -> str:
            answer = client.post("/encode", content=raw, headers={"content-type": ZIP})
            return str(check_problem(answer, status, code)["detail"])

        assert "at most 4" in refuse(
            zip_archives.write([(f"{i}", FILES[0]) for i in range(5)]), 422, "invalid-field"
        )
        assert "zip" in refuse(b"PK nothing", 400, "bad-request")
        assert "empty" in refuse(b"", 400, "bad-request")
        detail = refuse(zip_archives.write([("a", FILES[0]), ("b", b"x")]), 415, "unsupported-media-type")
        assert "Image 1" in detail


class TestQuality:
    def draw(self, client: Client, accept: str) -> bytes:
        answer = client.post("/generate", json=FOUR, headers={"accept": accept})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == accept.partition(";")[0]
        return answer.content

    @pytest.mark.parametrize("kind", ["image/jpeg", "image/webp"])
    def test_less_quality_is_fewer_bytes(self, client: Client, kind: str) -> None:
        sizes = [len(self.draw(client, f"{kind};quality={one}")) for one in (1, 40, 100)]
        assert sizes == sorted(set(sizes))

    def test_webp_is_lossless_unless_a_quality_is_asked_for(self, client: Client) -> None:
        shown = [
            np.asarray(Image.open(io.BytesIO(self.draw(client, accept))).convert("L")).astype(int)
            for accept in ("image/png", "image/webp", "image/webp;quality=90")
        ]
        assert (shown[0] == shown[1]).all()
        assert 0 < np.abs(shown[0] - shown[2]).max() < 64

    def test_a_quality_rides_with_a_preference(self, client: Client) -> None:
        assert self.draw(client, "image/jpeg;q=0.9;quality=5") == self.draw(client, "image/jpeg; Quality = 5")

    @pytest.mark.parametrize("text", ["0", "101", "-1", "high", "1.5", "", "9" * 900])
    def test_what_is_no_quality_is_refused(self, client: Client, text: str) -> None:
        answer = client.post("/generate", json=FOUR, headers={"accept": f"image/webp;quality={text}"})
        (error,) = check_problem(answer, 422, "invalid-field")["errors"]
        assert error["loc"] == ["header", "accept"]
        assert "1 to 100" in error["msg"]

    def test_it_means_nothing_for_other_forms(self, client: Client) -> None:
        assert self.draw(client, "image/png;quality=high") == self.draw(client, "image/png")


class TestLines:
    def test_generated_images_come_one_a_line(self, client: Client) -> None:
        body = FOUR | {"return_latents": True}
        expected = client.post("/generate", json=body).json()
        answer = client.post("/generate", json=body, headers={"accept": NDJSON})
        *found, end = lines(answer)
        assert answer.headers["x-latent-model"] == "cgan"
        assert [line["index"] for line in found] == [0, 1, 2, 3]
        for plural, one in (
            ("images", "image"),
            ("seeds", "seed"),
            ("labels", "label"),
            ("latents", "latent"),
        ):
            assert [line[one] for line in found] == expected[plural]
        done = {"count": 4, "model": "cgan", "version": 1, "shape": expected["shape"]}
        assert end["done"] == done | {"request_id": answer.headers["x-request-id"]}

    @pytest.mark.parametrize("path", ["/encode", "/reconstruct", "/translate?to=boots&cycle=true"])
    def test_images_sent_in_lines_are_answered_in_lines(self, client: Client, path: str) -> None:
        expected = client.post(path, files=[("images", file) for file in FILES]).json()
        *found, end = lines(send_lines(client, path, TEXTS))
        assert end["done"]["count"] == 4
        for plural, one in (("latents", "latent"), ("images", "image"), ("psnr", "psnr"), ("ssim", "ssim")):
            if plural in expected:
                assert [line[one] for line in found] == expected[plural]
        if "cycle" in path:
            assert [line["cycle"]["l1"] for line in found] == expected["cycle"]["l1"]
            assert end["done"]["to"] == "boots"

    def test_many_more_may_be_sent_and_asked_for_than_at_once(self, client: Client) -> None:
        """The service takes 4 and gives 16 in one request that is no stream."""
        *found, _ = lines(send_lines(client, "/encode", TEXTS * 25))
        assert [line["index"] for line in found] == list(range(100))
        assert [line["latent"] for line in found[:4]] * 25 == [line["latent"] for line in found]
        *drawn, _ = lines(client.post("/generate", json={"count": 100}, headers={"accept": NDJSON}))
        assert len({line["seed"] for line in drawn}) == 100

    def test_draws_of_a_stream_have_the_seeds_of_one_request(self, client: Client) -> None:
        body = {"images": TEXTS, "sample": True, "seed": 5}
        expected = client.post("/encode", json=body).json()["latents"]
        *found, _ = lines(send_lines(client, "/encode?sample=true&seed=5", TEXTS * 20))
        assert [line["latent"] for line in found[:4]] == expected
        assert [line["seed"] for line in found] == list(range(5, 85))
        assert found[0]["latent"] != found[4]["latent"]

    def test_answers_to_json_are_lines_too(self, client: Client) -> None:
        answer = client.post("/encode", json={"images": TEXTS}, headers={"accept": NDJSON})
        assert len(lines(answer)) == 5
        body = {"latents": [[0, 0, 0, 0]]}
        (line, _) = lines(client.post("/decode", json=body, headers={"accept": NDJSON}))
        assert set(line) == {"index", "image"}

    def test_the_last_line_needs_no_end_and_blank_ones_are_passed_over(self, client: Client) -> None:
        one = json.dumps({"image": TEXTS[0]}).encode()
        for body in (one, one + b"\r\n", b"\n\n" + one + b"\n \n"):
            answer = client.post("/encode", content=body, headers={"content-type": NDJSON})
            assert lines(answer)[-1]["done"]["count"] == 1

    def test_images_of_a_stream_may_differ_in_size(self, client: Client) -> None:
        sizes = [np.zeros((side, side), np.uint8) for side in (8, 4, 12)]
        texts = [base64.b64encode(png.write(one)).decode() for one in sizes]
        assert lines(send_lines(client, "/encode?model=any-size", texts))[-1]["done"]["count"] == 3

    def test_a_stream_is_answered_in_lines_alone(self, client: Client) -> None:
        check_problem(send_lines(client, "/encode", TEXTS, accept="application/json"), 406, "not-acceptable")
        answer = client.post("/decode", content=b"{}\n", headers={"content-type": NDJSON})
        check_problem(answer, 415, "unsupported-media-type")

    @pytest.mark.parametrize(
        ("body", "status", "code", "loc"),
        [
            (b"", 422, "invalid-field", ["body"]),
            (b"\n\n", 422, "invalid-field", ["body"]),
            (b"{", 400, "bad-request", None),
            (b"[]\n", 422, "invalid-field", ["body", 0]),
            (b'{"image": 1}\n', 422, "invalid-field", ["body", 0, "image"]),
            (b'{"image": "x", "y": 1}\n', 422, "invalid-field", ["body", 0]),
            (b'{"image": "%"}\n', 422, "invalid-field", ["body", 0, "image"]),
            (b'{"image": "aGk="}\n', 415, "unsupported-media-type", None),
        ],
    )
    def test_what_is_wrong_from_the_start_is_an_ordinary_refusal(
        self, client: Client, body: bytes, status: int, code: str, loc: list[Any] | None
    ) -> None:
        answer = client.post("/encode", content=body, headers={"content-type": NDJSON})
        problem = check_problem(answer, status, code)
        assert loc is None or problem["errors"][0]["loc"] == loc

    def test_what_is_wrong_further_on_is_said_in_the_last_line(self, client: Client) -> None:
        texts = TEXTS * 100
        answer = send_lines(client, "/encode", [*texts, "aGk=", *texts])
        *found, end = lines(answer)
        assert set(end) == {"error"}
        assert end["error"]["code"] == "unsupported-media-type"
        assert "Image 400" in end["error"]["detail"]
        assert end["error"]["request_id"] == answer.headers["x-request-id"]
        assert [line["index"] for line in found] == list(range(len(found)))
        assert len(found) <= 400
        assert answer.headers["connection"] == "close"
        assert client.get("/health/live").status_code == 200
