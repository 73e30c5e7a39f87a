"""Notebooks as files: HTML by our template, PDF and PNG by a browser that reaches nothing."""
