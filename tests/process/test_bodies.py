"""Bodies: whatever way an image is sent, it is the same image, and what cannot be read is refused."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from httpx import Client, Response
from PIL import Image

from service.media import zip_archives
from support.problem_json import check_problem

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
JSON = {"content-type": "application/json"}


def image_file(kind: str = "PNG", pixels: Any = PIXELS) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return file.getvalue()


def saved(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def send(client: Client, path: str, raw: bytes, kind: str) -> Response:
    return client.post(path, content=raw, headers={"content-type": kind})


def latents(response: Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()["latents"]


def test_every_form_gives_the_same_latent(client: Client) -> None:
    url = f"data:image/png;base64,{text(image_file())}"
    forms = [
        client.post("/encode", json={"images": [text(image_file())]}),
        client.post("/encode", json={"images": [url]}),
        send(client, "/encode", image_file(), "image/png"),
        send(client, "/encode", image_file("WEBP"), "image/webp"),
        send(client, "/encode", saved(PIXELS[None]), "application/x-npy"),
        send(client, "/encode", saved(PIXELS[None, ..., None]), "application/x-npy"),
        client.post("/encode", files={"images": ("a.png", image_file(), "image/png")}),
        client.post("/encode", files={"images": (None, image_file())}),
    ]
    first = latents(forms[0])
    assert np.shape(first) == (1, 4)
    for form in forms[1:]:
        assert latents(form) == first


def test_several_images_keep_their_order(client: Client) -> None:
    others = 255 - PIXELS
    alone = [latents(send(client, "/encode", image_file(pixels=p), "image/png"))[0] for p in (PIXELS, others)]
    parts = [("images", ("a.png", image_file())), ("images", ("b.png", image_file(pixels=others)))]
    assert latents(client.post("/encode", files=parts)) == alone
    assert latents(send(client, "/encode", saved(np.stack([PIXELS, others])), "application/x-npy")) == alone
    assert (
        latents(
            client.post("/encode", json={"images": [text(image_file()), text(image_file(pixels=others))]})
        )
        == alone
    )


def test_options_are_the_same_in_every_form(client: Client) -> None:
    answers = [
        client.post(
            "/encode", json={"images": [text(image_file())], "model": "vae@1", "sample": True, "seed": 3}
        ),
        send(client, "/encode?model=vae@1&sample=true&seed=3", image_file(), "image/png"),
        send(client, "/encode?model=vae@1&sample=true&seed=3", saved(PIXELS[None]), "application/x-npy"),
        client.post(
            "/encode", files={"images": image_file()}, data={"model": "vae@1", "sample": "true", "seed": "3"}
        ),
        client.post(
            "/encode?seed=3", files={"images": image_file()}, data={"model": "vae@1", "sample": "true"}
        ),
    ]
    first = answers[0].json()
    assert first["seeds"] == [3]
    for answer in answers:
        assert answer.json() | {"request_id": ""} == first | {"request_id": ""}


@pytest.mark.parametrize(
    "query",
    [
        "sample=1",
        "sample=True",
        "sample=",
        "sample=true&seed=-1",
        "sample=true&seed=01",
        "sample=true&seed=NaN",
    ],
)
def test_options_in_the_query_are_not_coerced(client: Client, query: str) -> None:
    response = send(client, f"/encode?{query}", image_file(), "image/png")
    loc = check_problem(response, 422, "invalid-field")["errors"][0]["loc"]
    assert loc == ["query", "seed" if "seed" in query else "sample"]


@pytest.mark.parametrize(("text", "seed"), [("1.0", 1), ("1e3", 1000)])
def test_a_whole_number_in_the_query_is_an_integer_however_it_is_written(
    client: Client, text: str, seed: int
) -> None:
    response = send(client, f"/encode?sample=true&seed={text}", image_file(), "image/png")
    assert response.json()["seeds"] == [seed]


@pytest.mark.parametrize(
    "query", ["colour=red", "images=x", "seed=1&seed=1", "model=vae&model=vae", "sample=true&sample=false"]
)
def test_unknown_and_repeated_options_are_422(client: Client, query: str) -> None:
    check_problem(send(client, f"/encode?{query}", image_file(), "image/png"), 422, "invalid-field")


def test_an_option_in_the_form_and_in_the_query_is_422(client: Client) -> None:
    response = client.post("/encode?model=vae", files={"images": image_file()}, data={"model": "vae"})
    check_problem(response, 422, "invalid-field")


def test_json_takes_no_options_from_the_query(client: Client) -> None:
    body = {"images": [text(image_file())]}
    check_problem(client.post("/encode?model=vae", json=body), 422, "invalid-field")
    check_problem(client.post("/generate?count=2", json={}), 422, "invalid-field")


@pytest.mark.parametrize(
    "kind", ["application/json;charset=utf-8", "Application/JSON", "application/json ; x=y"]
)
def test_json_may_say_more_in_its_content_type(client: Client, kind: str) -> None:
    assert send(client, "/generate", b"{}", kind).status_code == 200


@pytest.mark.parametrize("path", ["/encode", "/decode", "/reconstruct", "/generate", "/translate"])
@pytest.mark.parametrize("kind", ["", "text/plain", "image/gif", "application/octet-stream", "json", ";"])
def test_other_content_types_are_415_that_says_what_to_send(client: Client, path: str, kind: str) -> None:
    request = client.build_request("POST", path, content=b"{}", headers={"content-type": kind})
    if not kind:
        del request.headers["content-type"]
    problem = check_problem(client.send(request), 415, "unsupported-media-type")
    assert "application/json" in problem["detail"]


OTHER_NAMES = ["image/jpg", "image/pjpeg", "image/x-png", "image/gif", "application/octet-stream"]


@pytest.mark.parametrize("kind", [*OTHER_NAMES, "binary/octet-stream", "application/x-zip-compressed", ""])
def test_a_file_is_what_its_bytes_say(client: Client, kind: str) -> None:
    expected = latents(send(client, "/encode", image_file(), "image/png"))
    packed = zip_archives.write([("a.png", image_file())])
    for raw in (image_file(), image_file("WEBP"), saved(PIXELS[None]), packed):
        request = client.build_request("POST", "/encode", content=raw, headers={"content-type": kind})
        if not kind:
            del request.headers["content-type"]
        assert latents(client.send(request)) == expected
    rows = saved(np.zeros((1, 4)))
    decoded = send(client, "/decode", rows, kind or "application/octet-stream")
    assert decoded.json()["images"] == client.post("/decode", json={"latents": [[0.0] * 4]}).json()["images"]


def test_a_file_that_calls_itself_another_is_what_its_bytes_say(client: Client) -> None:
    expected = latents(send(client, "/encode", image_file(), "image/png"))
    packed = zip_archives.write([("a.png", image_file())])
    for raw, kind in (
        (packed, "image/png"),
        (image_file(), "application/zip"),
        (image_file(), "application/x-npy"),
    ):
        assert latents(send(client, "/encode", raw, kind)) == expected


@pytest.mark.parametrize("kind", ["image/heic", "image/png", "application/octet-stream"])
def test_a_format_that_is_not_read_is_named(client: Client, kind: str) -> None:
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    response = send(client, "/encode", heic, kind)
    detail = check_problem(response, 415, "unsupported-media-type")["detail"]
    assert detail == "Image 0: HEIC is not read; send PNG, JPEG or WebP."


def test_a_refusal_names_the_entry_of_an_archive(client: Client) -> None:
    whole = image_file(pixels=np.arange(256, dtype=np.uint8).reshape(16, 16))
    broken = zip_archives.write([("good.png", image_file()), ("holiday/cut.png", whole[:-30])])
    problem = check_problem(send(client, "/encode", broken, "application/zip"), 422, "invalid-field")
    assert problem["errors"][0]["loc"] == ["body", "images", "holiday/cut.png"]
    other = zip_archives.write([("good.png", image_file()), ("holiday/IMG_1.HEIC", b"\0\0\0\x18ftypheic")])
    problem = check_problem(send(client, "/encode", other, "application/zip"), 415, "unsupported-media-type")
    assert problem["detail"] == "Image 1 (holiday/IMG_1.HEIC): HEIC is not read; send PNG, JPEG or WebP."


@pytest.mark.parametrize("channels", [3, 4])
def test_an_array_that_is_one_image_or_many_is_422_that_says_how_to_send_each(
    client: Client, channels: int
) -> None:
    raw = saved(np.zeros((200, 8, channels), np.uint8))
    detail = check_problem(send(client, "/encode", raw, "application/x-npy"), 422, "invalid-field")["detail"]
    assert f"(1, 200, 8, {channels})" in detail
    assert f"(200, 8, {channels}, 1)" in detail
    assert send(
        client, "/encode", saved(np.zeros((1, 8, 8, channels), np.uint8)), "application/x-npy"
    ).is_success


def test_the_default_content_type_of_curl_is_told_which_header_to_add(client: Client) -> None:
    response = send(client, "/generate", b"{}", "application/x-www-form-urlencoded")
    assert (
        "-H 'content-type: application/json'"
        in check_problem(response, 415, "unsupported-media-type")["detail"]
    )


def test_a_body_of_an_unknown_compression_is_415(client: Client) -> None:
    headers = JSON | {"content-encoding": "br"}
    check_problem(client.post("/generate", content=b"{}", headers=headers), 415, "unsupported-media-type")


@pytest.mark.parametrize("kind", ["image/png", "application/x-npy"])
def test_an_empty_body_is_400(client: Client, kind: str) -> None:
    check_problem(send(client, "/encode", b"", kind), 400, "bad-request")


def test_a_truncated_jpeg_is_422(client: Client) -> None:
    raw = image_file("JPEG", np.tile(PIXELS, (8, 8)))
    assert send(client, "/encode", raw, "image/jpeg").status_code == 200
    check_problem(send(client, "/encode", raw[: len(raw) * 3 // 4], "image/jpeg"), 422, "invalid-field")


def test_what_is_no_image_is_415_and_says_which_one(client: Client) -> None:
    problem = check_problem(
        client.post("/encode", json={"images": [text(image_file()), text(b"GIF89a")]}),
        415,
        "unsupported-media-type",
    )
    assert "1" in problem["detail"]


@pytest.mark.parametrize(
    "image",
    ["", "a", "abc", "a b=", "aGVs\nbG8=", "http://example.com/a.png", "/etc/passwd", "data:,x", "data:x"],
)
def test_text_that_is_no_image_is_refused(client: Client, image: str) -> None:
    response = client.post("/encode", json={"images": [image]})
    assert response.status_code in (415, 422)
    check_problem(response, response.status_code, response.json()["code"])


def test_the_number_of_images_is_bounded_in_every_form(client: Client) -> None:
    for count, status in ((4, 200), (5, 422)):
        forms = [
            client.post("/encode", json={"images": [text(image_file())] * count}),
            client.post("/encode", files=[("images", image_file())] * count),
            send(client, "/encode", saved(np.stack([PIXELS] * count)), "application/x-npy"),
        ]
        assert [form.status_code for form in forms] == [status] * 3


def test_the_number_of_latents_is_bounded_in_every_form(client: Client) -> None:
    for count, status in ((16, 200), (17, 422)):
        rows = np.zeros((count, 4), np.float32)
        assert client.post("/decode", json={"latents": rows.tolist()}).status_code == status
        assert send(client, "/decode", saved(rows), "application/x-npy").status_code == status


def test_latents_as_array_and_as_json_are_the_same(client: Client) -> None:
    rows = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    as_json = client.post("/decode", json={"latents": rows.tolist()}).json()
    assert send(client, "/decode", saved(rows), "application/x-npy").json()["images"] == as_json["images"]


@pytest.mark.parametrize("length", [3, 5])
def test_latents_of_another_length_are_422_and_hear_the_right_one(client: Client, length: int) -> None:
    check = "a latent of this model has 4 numbers"
    response = client.post("/decode", json={"latents": [[0.0] * 4, [0.0] * length]})
    problem = check_problem(response, 422, "invalid-field")
    assert problem["errors"] == [{"loc": ["body", "latents", 1], "msg": check}]
    response = send(client, "/decode", saved(np.zeros((1, length), np.float32)), "application/x-npy")
    assert check in check_problem(response, 422, "invalid-field")["detail"]


@pytest.mark.parametrize("value", ["1e39", "-1e39"])
def test_latents_beyond_float32_are_422(client: Client, value: str) -> None:
    body = f'{{"latents": [[0,0,0,0],[0,0,0,{value}]]}}'
    problem = check_problem(send(client, "/decode", body.encode(), "application/json"), 422, "invalid-field")
    assert problem["errors"][0]["loc"] == ["body", "latents", 1]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_arrays_with_numbers_that_are_not_finite_are_422(client: Client, value: float) -> None:
    rows = np.array([[0, 0, 0, value]], np.float32)
    check_problem(send(client, "/decode", saved(rows), "application/x-npy"), 422, "invalid-field")


@pytest.mark.parametrize("shape", [(1, 8, 8, 2), (8, 8), (1, 1, 8, 8, 1)])
def test_arrays_that_are_no_images_are_422(client: Client, shape: tuple[int, ...]) -> None:
    response = send(client, "/encode", saved(np.zeros(shape, np.uint8)), "application/x-npy")
    check_problem(response, 422, "invalid-field")


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"x", "multipart/form-data"),
        (b"x", "multipart/form-data; boundary=a"),
        (b"--a\r\n\r\n", "multipart/form-data; boundary=a"),
        (b"--a\r\nContent-Disposition: form-data\r\n\r\nx\r\n--a--\r\n", "multipart/form-data; boundary=a"),
        (b"--a\r\n" + b"X: y\r\n" * 1000, "multipart/form-data; boundary=a"),
        (b"--a\r\n", f"multipart/form-data; boundary={'a' * 1000}"),
    ],
    ids=["no boundary", "no parts", "no name", "nameless", "many headers", "long boundary"],
)
def test_a_broken_form_is_400(client: Client, raw: bytes, kind: str) -> None:
    check_problem(send(client, "/encode", raw, kind), 400, "bad-request")


@pytest.mark.parametrize(("length", "status"), [(1024, 404), (1025, 400)])
def test_an_option_of_a_form_is_short(client: Client, length: int, status: int) -> None:
    form = {"files": {"images": image_file()}, "data": {"model": "x" * length}}
    assert client.post("/encode", **form).status_code in (status, 422 if length <= 1024 else status)


def test_a_form_cut_short_is_400(client: Client) -> None:
    request = client.build_request("POST", "/encode", files={"images": image_file()})
    raw = request.read()
    assert send(client, "/encode", raw, request.headers["content-type"]).status_code == 200
    check_problem(send(client, "/encode", raw[:-20], request.headers["content-type"]), 400, "bad-request")


def test_a_form_without_images_is_422(client: Client) -> None:
    response = client.post("/encode", files={"model": (None, "vae")})
    assert "images" in check_problem(response, 422, "invalid-field")["detail"]


def test_a_form_with_an_option_that_is_no_text_is_400(client: Client) -> None:
    check_problem(
        client.post("/encode", files={"images": image_file(), "model": b"\xff"}), 400, "bad-request"
    )


def test_one_request_has_images_of_one_size_for_a_model_of_any_size(client: Client) -> None:
    small, large = image_file(), image_file(pixels=np.tile(PIXELS, (2, 1)))
    form = {"model": "any-size"}
    assert client.post("/encode", files=[("images", large)] * 2, data=form).status_code == 200
    response = client.post("/encode", files=[("images", small), ("images", large)], data=form)
    assert "size" in check_problem(response, 422, "invalid-field")["detail"]


@pytest.mark.parametrize("name", ["image", "file", "files", "images[]"])
def test_a_form_may_name_its_images_as_others_do(client: Client, name: str) -> None:
    expected = latents(client.post("/encode", files={"images": image_file()}))
    assert latents(client.post("/encode", files={name: ("a.png", image_file(), "image/png")})) == expected


def test_an_unknown_name_of_an_image_is_answered_with_the_known_one(client: Client) -> None:
    problem = check_problem(client.post("/encode", files={"photo": image_file()}), 400, "bad-request")
    assert "belongs in a part named images" in problem["detail"]


def test_what_a_form_leaves_empty_is_not_given(client: Client) -> None:
    expected = latents(client.post("/encode", files={"images": image_file()}))
    empty_input = b'--edge\r\ncontent-disposition: form-data; name="images"; filename=""\r\n\r\n\r\n'
    blanks = b"".join(
        b'--edge\r\ncontent-disposition: form-data; name="%s"\r\n\r\n \r\n' % name
        for name in (b"model", b"seed", b"sample", b"whatever")
    )
    head = b'--edge\r\ncontent-disposition: form-data; name="images"; filename="a.png"\r\n\r\n'
    whole = empty_input + blanks + head + image_file() + b"\r\n--edge--\r\n"
    assert latents(send(client, "/encode", whole, "multipart/form-data; boundary=edge")) == expected
    nothing = send(client, "/encode", empty_input + b"--edge--\r\n", "multipart/form-data; boundary=edge")
    assert "at least one part" in check_problem(nothing, 422, "invalid-field")["detail"]


def test_a_ticked_box_of_a_form_is_true(client: Client) -> None:
    form = {"files": {"images": image_file()}, "data": {"model": "vae", "sample": "on", "seed": "3"}}
    drawn = client.post("/encode", **form).json()
    as_json = {"images": [text(image_file())], "model": "vae", "sample": True, "seed": 3}
    assert drawn["latents"] == client.post("/encode", json=as_json).json()["latents"]
    form["data"] = {"seed": "on", "sample": "on"}
    problem = check_problem(client.post("/encode", **form), 422, "invalid-field")
    assert problem["errors"][0]["loc"] == ["form", "seed"]


def test_a_form_may_hold_data_urls_and_begin_with_text(client: Client) -> None:
    expected = latents(client.post("/encode", files={"images": image_file()}))
    url = f"data:image/png;base64,{text(image_file())}"
    assert latents(client.post("/encode", files={"image": (None, url)})) == expected
    assert (
        latents(client.post("/encode", files=[("images", (None, url)), ("images", image_file())]))
        == expected * 2
    )
    request = client.build_request("POST", "/encode", files={"images": image_file()})
    raw, kind = request.read(), request.headers["content-type"]
    assert latents(send(client, "/encode", b"This is a form.\r\n" + raw, kind)) == expected
    refused = client.post("/encode", files={"image": (None, "data:image/png,x")})
    assert check_problem(refused, 422, "invalid-field")["errors"][0]["loc"] == ["body", "images", 0]


def test_json_with_a_byte_order_mark_is_read(client: Client) -> None:
    body = b'\xef\xbb\xbf{"seed": 7}'
    expected = client.post("/generate", json={"seed": 7}).json()["images"]
    assert send(client, "/generate", body, "application/json").json()["images"] == expected
    lines = b'\xef\xbb\xbf{"image": "%s"}\n' % text(image_file()).encode()
    assert '"done"' in send(client, "/encode", lines, "application/x-ndjson").text


def test_base64_may_be_unpadded_url_safe_and_folded(client: Client) -> None:
    raw = image_file()
    expected = latents(client.post("/encode", json={"images": [text(raw)]}))
    folded, url_safe = base64.encodebytes(raw).decode(), base64.urlsafe_b64encode(raw).decode().rstrip("=")
    assert "\n" in folded
    assert set("-_") & set(url_safe)
    assert latents(client.post("/encode", json={"images": [folded, url_safe]})) == expected * 2
