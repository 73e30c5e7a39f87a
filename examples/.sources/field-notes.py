# A folder as a dashboard: the notebook with its picture, its data and its style sheet.
# path: field-notes/index.ipynb
# view: grid_default

# %% [markdown] id=title grid=0,0,12,3
# # Field notes from the marsh
#
# Twelve Saturdays at the hide, March to May 2025. How we counted: [methods](methods.ipynb).

# %% [markdown] id=picture grid=3,0,12,13
# ![A marsh at dawn: low sun, six birds in the air, reeds on both sides](pictures/marsh.svg)

# %% id=plots include=plots
# %% id=counts
import pandas as pd
from IPython.display import HTML

counts = pd.read_csv("observations.csv", parse_dates=["date"])
COLOURS = {
    "lapwing": TEAL,
    "redshank": ROSE,
    "curlew": AMBER,
    "avocet": VIOLET,
    "marsh harrier": GREEN,
}

# %% id=chart grid=16,0,8,13
figure, axes = plt.subplots(figsize=(9.4, 3.9))
for bird, colour in COLOURS.items():
    seen = counts[counts.bird == bird]
    axes.plot(seen.date, seen["count"], color=colour, marker="o", markersize=4, label=bird)
axes.set(title="Birds seen on each Saturday", ylim=0)
axes.xaxis.set_major_formatter(plt.matplotlib.dates.DateFormatter("%-d %b"))
axes.grid(axis="x", visible=False)
axes.legend(ncols=3, loc="upper right", fontsize=9.5)
picture(
    figure,
    alt="Birds per Saturday: lapwings peak in late March, redshanks in mid-April, avocets come in May.",
)

# %% id=quote grid=16,8,4,6
first = counts[(counts.bird == "avocet") & (counts["count"] > 0)].iloc[0]
HTML(
    f"""<link rel="stylesheet" href="style.css">
<blockquote class="field-quote">Mist until nine. Then the water was full of wings, and nobody counted for a while.
<footer>Hide book, {first.date:%-d %B}</footer></blockquote>
<a class="field-download" href="observations.csv" download>Download the counts (CSV)</a>"""
)

# %% id=table grid=22,8,4,7
totals = counts.groupby("bird")["count"].agg(Sum="sum", Most="max").loc[list(COLOURS)]
HTML(totals.rename_axis(index=None).to_html(border=0))

# %% [markdown] id=note grid=29,0,12,2
# Picture, counts and style sheet lie beside this notebook and are linked by relative addresses. All birds are invented.
