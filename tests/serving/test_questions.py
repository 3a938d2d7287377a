"""Requests for predictions are read, or refused in a sentence.  R-F2"""

import base64
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convscope.errors import UserError
from convscope.serving.questions import Limits, Question, read_question
from convscope.web.answers import Refused

LIMITS = Limits(images=4)
FORM = "multipart/form-data; boundary=edge"


def part(content: bytes, *, name: str = "image", filename: str | None = None) -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    return f'--edge\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--edge--\r\n"


def in_json(value: object) -> bytes:
    return json.dumps(value).encode()


def read(kind: str, body: bytes, *query: tuple[str, str]) -> Question:
    return read_question(kind, query, body, LIMITS)


def refused(status: int, kind: str, body: bytes, *query: tuple[str, str]) -> str:
    with pytest.raises(Refused) as refusal:
        read(kind, body, *query)
    assert refusal.value.status == status
    return str(refusal.value)


def test_a_form() -> None:
    files = [part(b"\x00\xff\r\n--edg", filename="a.png"), part(b"", name="other", filename="")]
    question = read(FORM, form(*files, part(b"3", name="top_k"), part(b"true", name="invert")))
    assert [(given.name, given.content) for given in question.images] == [
        ("a.png", b"\x00\xff\r\n--edg"),
        ("image 2", b""),
    ]
    assert (question.top_k, question.invert) == (3, True)


def test_parameters_may_stand_after_the_address_or_in_the_body_but_not_in_both() -> None:
    image = {"images": [base64.b64encode(b"x").decode()]}
    assert read("image/png", b"x", ("top_k", "7"), ("invert", "false")) == Question(
        read("image/png", b"x").images, 7, False
    )
    assert read("application/json", in_json(image), ("top_k", "7")).top_k == 7
    assert "given twice" in refused(400, "application/json", in_json(image | {"top_k": 3}), ("top_k", "7"))
    assert "given twice" in refused(
        400, FORM, form(part(b"x", filename="a"), part(b"1", name="top_k"), part(b"1", name="top_k"))
    )


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"top_k": 0}, "whole number from 1"),
        ({"top_k": 1.5}, "whole number from 1"),
        ({"top_k": "3"}, "whole number from 1"),
        ({"top_k": True}, "whole number from 1"),
        ({"top_k": None}, "whole number from 1"),
        ({"top_k": 10**30}, "whole number from 1"),
        ({"top_k": [[3]]}, "whole number from 1"),
        ({"invert": "yes"}, "one of true, false"),
        ({"invert": 1}, "one of true, false"),
        ({"topk": 1}, "unknown parameter 'topk': choose from top_k, invert"),
        ({"\ud800\x1b": 1}, "unknown parameter"),
    ],
)
def test_parameters_are_as_they_must_be(extra: dict[str, Any], words: str) -> None:
    sentence = refused(400, "application/json", in_json({"images": ["eA=="]} | extra))
    assert words in sentence and sentence.isprintable()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b'"images"',
        b"{}",
        b'{"images": {}}',
        b'{"images": "eA=="}',
        b'{"images": [1]}',
        b'{"images": [null]}',
        b'{"images": []}',
        b'{"images": ["eA=="]',
        b'{"images": ["eA=="]} {}',
        b"[" * 1500,
        b"[" * 100_000,
        b'{"images": [' + b"[]," * 100_000 + b"[]]}",
        b"1" * 10_000,
        '{"images": ["eA=="]}'.encode("utf-16")[:-1],
    ],
    ids=lambda body: repr(body[:24]),
)
def test_json_that_is_not_as_it_must_be(body: bytes) -> None:
    assert ": give" in refused(400, "application/json", body)


@pytest.mark.parametrize("text", ["!", "eA", "e A==", "eA==\n", "\ud800", "data:image/png;base64,eA=="])
def test_what_is_no_base64_is_told_of_this_image_alone(text: str) -> None:
    question = read("application/json", in_json({"images": ["eA==", text]}))
    assert question.images[0].content == b"x"
    assert isinstance(question.images[1].content, UserError)
    assert str(question.images[1].content).startswith("image 2 is no base64: give")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"--edge",
        b"--edge--",
        part(b"x", filename="a"),
        form(part(b"x", filename="a"))[:-8],
        form(part(b"x", filename="a")).replace(b"edge", b"rand"),
        b"--edge\r\n\r\n\r\n--edge--\r\n",
        b"--edge\r\nno header\r\n\r\nx\r\n--edge--\r\n",
        b"--edge\r\n" + b"X: y\r\n" * 1000 + b"\r\nx\r\n--edge--\r\n",
        b"--edge\r\nX: " + b"y" * 100_000 + b"\r\n\r\nx\r\n--edge--\r\n",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_forms_that_cannot_be_read(body: bytes) -> None:
    sentence = refused(400, FORM, body)
    assert "form" in sentence or "no image" in sentence or "unknown parameter" in sentence


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary="']
)
def test_a_form_without_a_boundary(kind: str) -> None:
    assert "form" in refused(400, kind, form(part(b"x", filename="a")))


def test_too_many_images() -> None:
    assert "more than 4 images" in refused(413, FORM, form(*[part(b"x", filename="a")] * 5))
    assert "more than 4 images" in refused(413, "application/json", in_json({"images": ["eA=="] * 5}))
    assert "more fields" in refused(400, FORM, form(*[part(b"x")] * 1000))


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "video/mp4", "multipart/mixed", "image", "\xff"]
)
def test_other_types_are_refused(kind: str) -> None:
    assert "multipart/form-data" in refused(415, kind, b"x")


KINDS = st.sampled_from([FORM, "multipart/form-data; boundary=e", "application/json", "image/png"]) | st.text(
    st.characters(max_codepoint=255), max_size=60
)
PIECES = st.sampled_from(
    [
        b"--edge\r\n",
        b"\r\n--edge",
        b"--\r\n",
        b"\r\n\r\n",
        b'Content-Disposition: form-data; name="image"; filename="a.png"',
        b"Content-Disposition: form-data; name*=utf-8''a; filename*=x",
        b'{"images": [',
        b'"eA=="',
        b"]}",
        b', "top_k": 3',
        b"\x00\xff",
    ]
)


@given(kind=KINDS, body=st.binary(max_size=200) | st.lists(PIECES | st.binary(max_size=9)).map(b"".join))
@example(FORM, form(part(b"x", filename="\xff")))
def test_whatever_is_sent_is_read_or_refused(kind: str, body: bytes) -> None:
    try:
        question = read(kind, body)
    except Refused as refusal:
        assert str(refusal).isprintable() and 400 <= refusal.status < 500
    else:
        assert 1 <= len(question.images) <= LIMITS.images
        assert all(given.name.isprintable() for given in question.images)
