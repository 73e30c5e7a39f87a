# Included by other sources: matplotlib figures for light and dark pages.

import io

import matplotlib.pyplot as plt
from IPython.display import Image, display

INK = "#717c8b"  # grey enough for white and for near-black pages
TEAL, AMBER, VIOLET, ROSE, GREEN = "#12a192", "#e2902b", "#8a74e0", "#e0567c", "#5aa845"

plt.rcParams.update(
    {
        "font.size": 12,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 13,
        "axes.titlepad": 12,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.prop_cycle": plt.cycler(color=[TEAL, AMBER, VIOLET, ROSE, GREEN]),
        "grid.color": INK,
        "grid.alpha": 0.22,
        "grid.linewidth": 0.8,
        "xtick.color": INK,
        "ytick.color": INK,
        "legend.frameon": False,
        "lines.linewidth": 2,
        "figure.constrained_layout.use": True,
    }
)


def picture(figure, alt):
    """The figure as a PNG of twice its size on the page, see-through, with a text for who cannot see it."""
    png = io.BytesIO()
    figure.savefig(png, dpi=192, transparent=True, metadata={"Software": None})
    plt.close(figure)
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return Image(png.getvalue(), width=width, height=height, alt=alt)
