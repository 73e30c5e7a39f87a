"""Measures this project's pages side by side with Voila's: `python -m benchmarks` (see README.md)."""
