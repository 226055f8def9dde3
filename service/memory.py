"""What to do once something that stays has been loaded.

repository, supervisor -> settle
"""

from __future__ import annotations

import ctypes
import gc


def settle() -> None:
    """Collect garbage, keep the collector off what is left, and give free memory back to the system.

    What stays need not be walked again, nor its pages be copied in a forked process. Memory can be given back
    where the C library knows how (glibc).
    """
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
