# Included by other sources: a row of figures that matter.

from IPython.display import HTML


def tiles(*rows):
    """A row of tiles; each is (label, value, note) or (label, value, note, colour of the edge)."""
    boxes = "".join(
        f'<div class="tile" style="border-left-color:{more[0] if more else "#12a192"}">'
        f"<span>{label}</span><b>{value}</b><small>{note}</small></div>"
        for label, value, note, *more in rows
    )
    return HTML(
        """<style>
.tiles { display: flex; flex-wrap: wrap; gap: 10px; }
.tile { flex: 1 1 9rem; display: flex; flex-direction: column; gap: 2px; padding: 10px 14px; border-radius: 8px;
  border: 1px solid color-mix(in srgb, currentColor 16%, transparent); border-left: 4px solid; }
.tile span, .tile small { opacity: .75; line-height: 1.3; }
.tile b { font-size: 1.6rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
</style>"""
        f'<div class="tiles">{boxes}</div>'
    )
