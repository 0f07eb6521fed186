"""What the four notebooks share: the release to look at, how a table is shown, colours. Set SKYPILE_RELEASE, SKYPILE_OTHER or SKYPILE_WORK to look at your own."""

import importlib.resources
import os
import re
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML

import pipeline

SMALL = {
    "web": "sample://small/crawl/*.warc.gz",
    "social": "sample://small/social/*.jsonl",
    "encyclopaedia": "sample://small/encyclopaedia/*.jsonl",
    "code": "sample://small/code/*.tar",
}
WORK = os.environ.get("SKYPILE_WORK", "work/notebooks")
COLOURS = {"en": "#2b6cb0", "zh": "#c05621", "code": "#2f855a"}  # of domains
KEPT, DROPPED, GREY, DARK = "#2b6cb0", "#c53030", "#a0aec0", "#1a202c"

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "axes.grid": True, "grid.alpha": 0.3})
pd.set_option("display.max_colwidth", None)
warnings.filterwarnings("ignore", message="IProgress not found")


def open_or_make() -> pipeline.Release:
    """The release that SKYPILE_RELEASE names, or that of the small sample (made in about half a minute, in the work folder SKYPILE_WORK)."""
    if path := os.environ.get("SKYPILE_RELEASE"):
        return pipeline.open_release(path)
    return pipeline.run(pipeline.Recipe.load("skypile", SMALL), WORK, here=True)


def open_or_make_other(changes: Mapping[str, str]) -> pipeline.Release:
    """The release that SKYPILE_OTHER names, or that of the small sample with the recipe's text changed: pattern -> what stands there instead."""
    if path := os.environ.get("SKYPILE_OTHER"):
        return pipeline.open_release(path)
    if "SKYPILE_RELEASE" in os.environ and "SKYPILE_WORK" not in os.environ:
        raise ValueError("SKYPILE_RELEASE is set: set SKYPILE_OTHER as well, to the release that it is to be compared with.")
    text = importlib.resources.files("recipes").joinpath("skypile.yaml").read_text(encoding="utf-8")
    for old, new in changes.items():
        text, found = re.subn(old, new, text, flags=re.MULTILINE)
        if not found:
            raise ValueError(f"The recipe has nothing like {old}: it was changed since this notebook was written.")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "other.yaml").write_text(text, encoding="utf-8")
        return pipeline.run(pipeline.Recipe.load(f"{folder}/other.yaml", SMALL), WORK, here=True)


def show(rows: pd.DataFrame) -> HTML:
    """A table to read. What stands in it is escaped: a page's own HTML is shown and not run."""
    return HTML(rows.map(_cell).to_html(index=False, justify="left", max_rows=100).replace("<td>", '<td style="text-align: left; vertical-align: top">'))


def _cell(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, bool | np.bool_ | str):
        return str(value)
    if isinstance(value, int | np.integer) or (isinstance(value, float) and value.is_integer()):
        return f"{int(value):,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def one_line(texts: pd.Series, characters: int = 260) -> pd.Series:
    """The beginning of each text, white space as blanks."""
    return texts.str.replace(r"\s+", " ", regex=True).str.slice(0, characters)
