"""Requests for predictions in their three forms: a form with files, an image as it is, or JSON with base64."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from convscope.data.decoding import Undecodable
from convscope.errors import UserError, on_one_line
from convscope.shapes import misfit
from convscope.web.answers import UPLOAD_LIMIT, Refused
from convscope.web.parameters import Parameter, number, one_of, read_parameters

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

PARAMETERS: Mapping[str, Parameter] = {
    "top_k": number(1, 1000).or_none(),
    "invert": one_of("true", "false").or_none(),
}
"""After the address, as fields of the form, or in the JSON beside `images`."""
TOP_K = 5

_LONGEST_NAME = 100
_MOST_MARKS = 2000
"""Commas and brackets in the JSON. Base64 has none, so a request has hardly more than images; a list of a million empty
lists would take a hundred times its own size in the memory.
"""


@dataclass(frozen=True)
class Limits:
    """What a request may be, what all together may be, and how long it may take."""

    images: int = 128
    """Of one request."""
    image_bytes: int = UPLOAD_LIMIT
    pixels: int = 64_000_000
    """Of one image."""
    request_bytes: int = 32 << 20
    all_bytes: int = 256 << 20
    """Of all requests that are under way."""
    queue: int = 512
    """Images that somebody waits for; who comes then is told to come again."""
    body_seconds: float = 30.0
    """Within which a request has to arrive."""
    answer_seconds: float = 30.0
    """Within which it is answered."""
    connections: int = 500


@dataclass(frozen=True)
class Given:
    """An image of a request."""

    name: str
    content: bytes | UserError
    """An image file; or the reason why it cannot be one."""


@dataclass(frozen=True)
class Question:
    """A request for predictions."""

    images: Sequence[Given]
    top_k: int = TOP_K
    invert: bool = False


def read_question(content_type: str, query: Sequence[tuple[str, str]], body: bytes, limits: Limits) -> Question:
    """Read what is asked.

    Raises:
        Refused: the body is none of the three forms, or holds more than it may; a parameter is not as it must be.
    """
    kind, options = parse_options_header(content_type)
    fields: list[tuple[str, str]] = []
    if kind == b"multipart/form-data":
        files, fields = _read_form(options.get(b"boundary", b""), body, limits)
        images = [Given(name or f"image {place}", content) for place, (name, content) in enumerate(files, start=1)]
    elif kind == b"application/json":
        images, fields = _read_json(body, limits)
    elif kind.startswith(b"image/") or kind == b"application/octet-stream":
        images = [Given("the image", body)] if body else []
    else:
        raise Refused(
            "the Content-Type is none that is read here: give a form (multipart/form-data) with files, an image as it "
            "is (image/jpeg and the like), or application/json.",
            415,
        )
    if not images:
        raise Refused("the request holds no image: give at least one.")
    parameters = read_parameters([*query, *fields], PARAMETERS)
    return Question(images, parameters.get("top_k", TOP_K), parameters.get("invert") == "true")


class _Form:
    """The parts of a form, as the parser comes upon them: what has the name of a file is one, the rest are fields."""

    def __init__(self, limits: Limits) -> None:
        self.files: list[tuple[str, bytes]] = []
        self.fields: list[tuple[str, str]] = []
        self.whole = False
        self._limits = limits
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._content = bytearray()

    def on_part_begin(self) -> None:
        self._disposition = b""
        self._content.clear()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def on_part_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"filename" in options:
            self.files.append((_text(options[b"filename"])[:_LONGEST_NAME], bytes(self._content)))
            _check_count(len(self.files), self._limits)
        else:
            self.fields.append((_text(options.get(b"name", b"")), _text(bytes(self._content[: 1 << 10]))))
            if len(self.fields) > len(PARAMETERS):
                raise Refused(f"the form has more fields than {', '.join(PARAMETERS)}: leave the others out.")

    def on_end(self) -> None:
        self.whole = True


def _read_form(boundary: bytes, body: bytes, limits: Limits) -> tuple[list[tuple[str, bytes]], list[tuple[str, str]]]:
    form = _Form(limits)
    callbacks: MultipartCallbacks = {
        "on_part_begin": form.on_part_begin,
        "on_header_field": form.on_header_field,
        "on_header_value": form.on_header_value,
        "on_header_end": form.on_header_end,
        "on_part_data": form.on_part_data,
        "on_part_end": form.on_part_end,
        "on_end": form.on_end,
    }
    try:
        parser = MultipartParser(boundary, callbacks)
        parser.write(body)
        parser.finalize()
    except FormParserError:
        form.whole = False
    if not form.whole:
        raise Refused("the form cannot be read, or was cut short: give it as browsers and curl -F do.")
    return form.files, form.fields


def _read_json(body: bytes, limits: Limits) -> tuple[list[Given], list[tuple[str, str]]]:
    try:
        if sum(map(body.count, (b"[", b"{", b","))) > _MOST_MARKS:
            raise ValueError("too many things")
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused('the body is no JSON that is read here: give {"images": ["the base64 of an image"]}.') from error
    problem = misfit(value, {"images": [str]})
    if problem:
        raise Refused(f'the JSON does not fit ({problem}): give {{"images": ["the base64 of an image"]}}.')
    _check_count(len(value["images"]), limits)
    images = [Given(name := f"image {place}", _bytes(name, text)) for place, text in enumerate(value["images"], 1)]
    return images, [(key, json.dumps(value[key])) for key in value if key != "images"]


def _bytes(name: str, text: str) -> bytes | UserError:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return Undecodable(name, "is no base64", "give the bytes of an image file in it, and nothing else")


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.images:
        raise Refused(f"the request holds more than {limits.images} images: give the others in another.", 413)


def _text(name: bytes) -> str:
    return on_one_line(name.decode("utf-8", errors="replace"))
