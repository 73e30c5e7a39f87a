"""Starting a kernel, which keeps what it runs out of the account's own history.

IPython writes the source of each cell to one SQLite file of the account (``history.sqlite`` of its
profile), whoever had it run. What viewers and programs run is not for the author's up-arrow key, and
kernels that start together should not wait for the file's lock, least of all on a network drive. So
the history of these ends with them. Within the kernel it is whole: IPython itself reads it.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_core.utils import ensure_async

from .synchronous import serve_here

LAUNCHERS = {"ipykernel", "ipykernel.kernelapp", "ipykernel_launcher"}
"""What `python -m` starts ipykernel by."""

_IN_MEMORY = "--HistoryManager.hist_file=:memory:"


async def start_kernel(
    manager: Any, specs: Any, *, kernel_name: str, path: str, env: Mapping[str, str]
) -> str:
    """The new kernel's id. `specs` is the kernelspec manager of a `manager` on this machine; a gateway's has none.

    Raises what `manager.start_kernel` does.
    """
    options: dict[str, Any] = {}
    if specs is not None:
        spec = await ensure_async(specs.get_kernel_spec(kernel_name))
        options["extra_arguments"] = extra_arguments(spec.argv)
    kernel_id: str = await ensure_async(
        manager.start_kernel(kernel_name=kernel_name, path=path, env=dict(env), **options)
    )
    with contextlib.suppress(Exception):
        # It may be gone already: whoever asked for it will see that.
        serve_here(manager.get_kernel(kernel_id))
    return kernel_id


def extra_arguments(argv: Sequence[str]) -> list[str]:
    """What the command of a kernelspec is given besides: nothing, unless it ends as ipykernel's own does.

    Said to a shell's ``-c`` or a container's start it would not reach the kernel, or be refused.
    """
    is_ipykernel = any(
        flag == "-m" and name in LAUNCHERS for flag, name in itertools.pairwise(argv)
    )
    return [_IN_MEMORY] if is_ipykernel else []
