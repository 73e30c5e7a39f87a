"""The command line beside the server itself: `jupyter dashboards users`, `keys`."""
