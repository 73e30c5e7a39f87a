"""Which notebooks there are: what is uploaded, replaced and deleted."""
