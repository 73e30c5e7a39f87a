# A dashboard whose address carries its parameters: ?region=north&n=20
# view: grid_default

# %% [markdown] id=title grid=0,0,12,3
# # Rain by region
#
# Parameters come from the address (`?region=north&n=20`): each choice is a link to send, bookmark or embed.

# %% id=plots include=plots
# %% id=tiles include=tiles
# %% id=parameters
import os
from html import escape
from urllib.parse import parse_qs, urlencode

import numpy as np

REGIONS = {
    "north": (96, 30, TEAL),
    "east": (52, 18, AMBER),
    "south": (44, 26, ROSE),
    "west": (118, 34, VIOLET),
}
LEAST, MOST = 5, 120
asked = {name: values[-1] for name, values in parse_qs(os.environ.get("QUERY_STRING", "")).items()}
problems = []
region = asked.get("region", "north")
if region not in REGIONS:
    problems.append(f"There is no region “{region}”; this is the north.")
    region = "north"
try:
    n = int(asked.get("n", 20))
except ValueError:
    problems.append(f"“{asked['n']}” is no number of months; these are 20.")
    n = 20
if not LEAST <= n <= MOST:
    problems.append(f"Between {LEAST} and {MOST} months can be shown.")
    n = min(max(n, LEAST), MOST)

mean, spread, colour = REGIONS[region]
random = np.random.default_rng(sum(region.encode()))
months = np.arange(np.datetime64("2025-12"), np.datetime64("2015-12"), -1)[:n][::-1]
season = 1 + 0.35 * np.cos((months.astype(int) % 12) / 6 * np.pi)
rain = np.clip(mean * season + random.normal(0, spread, MOST)[:n][::-1], 1, None)

# %% id=choice grid=3,0,12,3
HTML(
    """<style>
.choice { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; }
.choice a { padding: 5px 14px; border-radius: 999px; text-decoration: none; color: inherit;
  border: 1px solid color-mix(in srgb, currentColor 35%, transparent); }
.choice a[aria-current] { font-weight: bold; border-width: 2px; border-color: currentColor; }
.choice span { opacity: .75; }
.choice a + span { margin-left: 14px; }
</style><nav class="choice" aria-label="Parameters"><span>Region</span>"""
    + "".join(
        f'<a href="?{escape(urlencode({"region": name, "n": n}))}"{" aria-current=page" * (name == region)}>{name}</a>'
        for name in REGIONS
    )
    + "<span>Months</span>"
    + "".join(
        f'<a href="?{escape(urlencode({"region": region, "n": count}))}"{" aria-current=page" * (count == n)}>{count}</a>'
        for count in (12, 20, 60, 120)
    )
    + "</nav>"
    + "".join(f"<p>{escape(problem)}</p>" for problem in problems)
)

# %% id=figures grid=6,8,4,13
wettest = int(rain.argmax())
tiles(
    ("Mean", f"{rain.mean():.0f} mm", f"a month in the {region}", colour),
    ("Wettest", f"{rain.max():.0f} mm", f"{months[wettest].item():%B %Y}", colour),
    ("Sum", f"{rain.sum():,.0f} mm", f"in {n} months", colour),
)

# %% id=chart grid=6,0,8,13
figure, axes = plt.subplots(figsize=(9.4, 3.8))
axes.bar(months.astype("datetime64[D]"), rain, width=22, color=colour)
axes.axhline(rain.mean(), color=INK, linewidth=1, linestyle=(0, (4, 3)))
axes.set(title=f"Rain in the {region}, mm per month, the last {n} months")
axes.xaxis.set_major_locator(plt.matplotlib.dates.AutoDateLocator(maxticks=8))
axes.xaxis.set_major_formatter(plt.matplotlib.dates.DateFormatter("%b %Y"))
axes.grid(axis="x", visible=False)
picture(
    figure,
    alt=f"Bars of monthly rain in the {region}: {rain.mean():.0f} mm on average, at most {rain.max():.0f} mm.",
)

# %% [markdown] id=note grid=19,0,12,2
# Invented data. With parameters that make no sense the page says so and shows what it can.
