"""`python -m jupyter_dashboards_api`: the standalone server."""

from .app import main

if __name__ == "__main__":
    main()
