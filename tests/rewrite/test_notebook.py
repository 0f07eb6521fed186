"""Notebooks as scripts."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rewrite.notebook import notebooks_batch, script_of

FOUR = {
    "cells": [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", "中文说明"]},
        {"cell_type": "code", "source": ["x = 1\n", "%time x"], "outputs": [{"data": {"image/png": "iVBOR"}}]},
        {"cell_type": "code", "source": "  \n"},
        {"cell_type": "raw", "source": "raw"},
    ],
    "metadata": {"kernelspec": {"language": "python"}},
    "nbformat": 4,
}


def test_cells_in_order_prose_as_comments_no_outputs():
    assert script_of(json.dumps(FOUR)) == "# # Title\n#\n# 中文说明\n\nx = 1\n%time x\n\n# raw\n"


def test_the_kernels_own_comment_and_format_3():
    scala = {"cells": [{"cell_type": "markdown", "source": "a"}], "metadata": {"language_info": {"name": "scala"}}}
    assert script_of(json.dumps(scala)) == "// a\n"
    three = {"worksheets": [{"cells": [{"cell_type": "code", "input": ["y = 2"]}]}], "nbformat": 3}
    assert script_of(json.dumps(three)) == "y = 2\n"


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}", '{"cells": 3}', "[" * 10_000, '{"cells": [1, {"source": 3}, {"source": [4]}]}'])
def test_what_is_no_notebook_stays(text):
    assert script_of(text) in (None, "")


def test_what_json_can_spell_and_utf8_cannot_hold():
    assert script_of('\ufeff{"cells": [{"cell_type": "code", "source": "x = \'\\ud83d\'"}]}') == "x = '\ufffd'\n"
    assert script_of('{"worksheets": [{"cells": 5}]}') == ""


@given(st.text())
def test_any_text_passes_through_a_batch(text):
    texts = pa.array([text, None, text])
    assert notebooks_batch(texts, pa.array(["Python", "Jupyter Notebook", None])).to_pylist() == [text, None, text]
