"""The parameters of the explorer's questions."""

from convscope.web.parameters import matching

NAME = matching(r"[^\x00-\x1f]+", "a name")
"""Of a run or a layer; whether there is one of that name is seen when it is looked up."""
EPOCH = matching("best|0|[1-9][0-9]{0,5}", "'best' or the number of an epoch")
IMAGE = matching("(test|train)/(0|[1-9][0-9]{0,8})|upload/[0-9a-f]{16}", "such as test/12, train/7 or upload/HEX")
