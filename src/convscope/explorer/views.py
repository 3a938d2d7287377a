"""Every question that can be asked, with its parameters, and the function that answers it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from typing import get_args

from convscope.errors import ConvscopeError, UserError
from convscope.explorer import attribution, explanations, images, maps, network
from convscope.explorer.explorer import Explorer
from convscope.explorer.parameters import EPOCH, IMAGE, NAME
from convscope.interpret import Method
from convscope.web.answers import Answer, Refused, error
from convscope.web.parameters import Parameter, number, one_of, read_parameters

_LOG = logging.getLogger(__name__)

_CHANNEL = number(most=10**6)


@dataclass(frozen=True)
class View:
    """One question."""

    answer: Callable[..., Answer]
    """Given the explorer, and the parameters as keywords."""
    parameters: Mapping[str, Parameter]


_PLACE = {"epoch": EPOCH, "run": NAME}
_ON_IMAGE = _PLACE | {"image": IMAGE}
_ON_LAYER = _PLACE | {"layer": NAME}

VIEWS = {
    "runs": View(network.runs, {}),
    "network": View(network.network, {"run": NAME}),
    "overview": View(maps.overview, _ON_IMAGE | {"top": number(1, 256).or_none()}),
    "activation": View(maps.activation, _ON_IMAGE | {"layer": NAME, "channel": _CHANNEL.or_none()}),
    "weights": View(maps.weights, _ON_LAYER | {"channel": _CHANNEL.or_none()}),
    "picture": View(images.picture, {"image": IMAGE, "run": NAME.or_none()}),
    "thumbnail": View(images.thumbnail, {"image": IMAGE}),
    "images": View(
        images.images,
        {
            "run": NAME,
            "split": one_of("test", "train"),
            "offset": number().or_none(),
            "limit": number(1, 500).or_none(),
            "order": one_of(*get_args(images.Order)).or_none(),
            "true": number(most=10**6).or_none(),
            "predicted": number(most=10**6).or_none(),
            "wrong": number(0, 1).or_none(),
        },
    ),
    "confusion": View(images.confusion, {"run": NAME}),
    "explain": View(
        attribution.explain,
        _ON_IMAGE
        | {"method": one_of(*get_args(Method)), "layer": NAME.or_none(), "class": number(most=10**6).or_none()},
    ),
    "neighbours": View(explanations.neighbours, _ON_IMAGE),
    "patches": View(explanations.patches, _ON_LAYER | {"channel": _CHANNEL}),
    "without": View(explanations.without, _ON_IMAGE | {"layer": NAME, "channel": _CHANNEL}),
}
"""By name: `/api/NAME`."""


def answer(explorer: Callable[[], Explorer], name: str, query: Sequence[tuple[str, str]]) -> Answer:
    """What is to be said to a question; an error is an answer too, one sentence with a status.

    `explorer` may wait until there is one, or raise why there is none.
    """

    def find() -> Answer:
        if name not in VIEWS:
            raise Refused("there is nothing at this address: open the page itself.", 404)
        view = VIEWS[name]
        parameters = read_parameters(query, view.parameters)
        # A word of Python's own, such as `class`, goes by another name.
        keywords = {f"{key}_" if iskeyword(key) else key: value for key, value in parameters.items()}
        return view.answer(explorer(), **keywords)

    return safely(find)


def safely(answer: Callable[[], Answer]) -> Answer:
    """The answer, or the error that it ended in; what was not foreseen is told in the terminal alone."""
    try:
        return answer()
    except Refused as refusal:
        return error(str(refusal), refusal.status)
    except UserError as mistake:
        return error(str(mistake), 400)
    except ConvscopeError as failure:
        return error(str(failure), 500)
    except Exception as surprise:
        _LOG.exception("the explorer did not expect this")
        kind = type(surprise).__name__
        return error(f"the explorer met an error that it did not expect ({kind}): see its terminal.", 500)
