"""One file a step, from the first schema on."""
