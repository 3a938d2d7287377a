"""What a server says, as bytes.  R-F2"""

import json

from convscope.web.answers import in_json


def test_a_name_that_is_no_text_is_json_all_the_same() -> None:
    # Of a class, in a file of weights that somebody has made up.
    assert json.loads(in_json({"name": "\udcff é"}).body.decode("utf-8")) == {"name": "\udcff é"}
