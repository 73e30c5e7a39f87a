"""`jupyter dashboards` and `python -m jupyter_dashboards_api`: the standalone server, or a command."""

from __future__ import annotations

import gc
import sys

from .cli.commands import CLIENT_COMMANDS, run


def main() -> None:
    """What asks a running server does not wait for the import of one."""
    words = sys.argv[1:]
    if words and words[0] in CLIENT_COMMANDS:
        sys.exit(run(words))
    # jsonschema takes this package for a format that no schema of ours or of the server's names, and compiles its grammar at
    # every start: nearly half of it. None makes that import fail, and jsonschema goes without the format.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    # What an import makes stays. Looking for garbage among it, now and when the process ends, takes a third of a short command.
    gc.disable()
    from .app import main as serve

    gc.freeze()
    gc.enable()
    serve()


if __name__ == "__main__":
    main()
