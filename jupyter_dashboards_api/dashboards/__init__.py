"""How a notebook looks as a dashboard: where it is, its layout, its rendered page."""
