"""Compiled inner loops over the UTF-8 bytes of a batch (numba). Arrays in, arrays out: no Arrow, no recipe, no thresholds.

Every kernel is compiled once per machine and kept in `~/.cache/skypile/numba-<hash>`, where the hash covers all files of this
folder and the processor: numba's own cache keeps stale code when a helper in another file changes. A node compiles on
first use (some 20 s for everything); `warm()` does that ahead of time, so that workers only load (under 1 s).
"""

import hashlib
import importlib
import os
import sys
import tempfile
from pathlib import Path


def _folder_of_this_code() -> str:
    """The folder of compiled kernels that belongs to exactly this code on exactly this processor."""
    import llvmlite.binding  # type: ignore[import-untyped]  # not numba: that one reads the folder's name when it is imported

    digest = hashlib.sha256(llvmlite.binding.get_host_cpu_name().encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    name = f"numba-{digest.hexdigest()[:16]}"
    folder = Path(os.path.expanduser("~")) / ".cache" / "skypile" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return str(folder)
    except OSError:
        pass
    return os.path.join(tempfile.gettempdir(), f"skypile-{os.getuid()}", name)  # a home that cannot be written: containers


if "NUMBA_CACHE_DIR" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = _folder_of_this_code()
    if "numba" in sys.modules:  # somebody was faster: numba has read its settings already
        sys.modules["numba"].config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]


def cache_folder() -> str:
    """Where this process's compiled kernels are kept."""
    return os.environ["NUMBA_CACHE_DIR"]


def modules() -> list[str]:
    """The modules of this folder that have something to compile: those with a `warm()`."""
    return sorted(f.stem for f in Path(__file__).parent.glob("*.py") if f.stem != "__init__" and "\ndef warm(" in f.read_text(encoding="utf-8"))


def warm() -> None:
    """Compile or load every kernel once, in this process."""
    for name in modules():
        importlib.import_module(f"{__name__}.{name}").warm()
