"""The wire: one module per public API. A handler parses, calls one manager and answers."""
