"""Compiled inner loops over the UTF-8 bytes of a batch (numba). Arrays in, arrays out: no Arrow, no recipe, no thresholds.

Every kernel is compiled once per machine and kept in `~/.cache/skypile/numba-<hash>`, where the hash covers all files of this
folder and the processor: numba's own cache keeps stale code when a helper in another file changes. A node compiles on
first use (some 20 s for everything); `warm()` does that ahead of time, so that workers only load (under 1 s).
"""

import hashlib
import importlib
import os
import pkgutil
import sys
import tempfile
from pathlib import Path


def _cache_folder() -> str:
    """The folder of compiled kernels that belongs to exactly this code on exactly this processor."""
    import llvmlite.binding  # not numba: that one reads the folder's name when it is imported

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
    os.environ["NUMBA_CACHE_DIR"] = _cache_folder()
    if "numba" in sys.modules:  # somebody was faster: numba has read its settings already
        sys.modules["numba"].config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]


def warm() -> None:
    """Compile or load every kernel once: calls `warm()` of each module of this folder that has one."""
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        getattr(importlib.import_module(f"{__name__}.{module}"), "warm", lambda: None)()
