# Sliders and a dropdown that redraw figures: update_display, and an Output widget.
# view: grid_default

# %% [markdown] id=title grid=0,0,12,3
# # Solar roof planner
#
# What would panels on your roof give? Move the sliders; the figures follow. A rough model, no offer.

# %% id=plots include=plots
# %% id=tiles include=tiles
# %% id=model
import ipywidgets as widgets
import numpy as np

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
PLACES = {
    "Seville, 37° N": (37.4, 0.66, 0.16),
    "Lyon, 46° N": (45.8, 0.52, 0.24),
    "Bergen, 60° N": (60.4, 0.40, 0.22),
}
FACES = {"south": 0, "south-east or south-west": 45, "east or west": 90}
HOURS = np.arange(0, 24, 0.25)
USE = (
    0.6 + 0.9 * np.exp(-(((HOURS - 7.5) / 1.2) ** 2)) + 1.6 * np.exp(-(((HOURS - 19) / 2.4) ** 2))
)  # kW before scaling


def panel_power(month, place, tilt, face, area):
    """kW over a mean day of the month, for each of HOURS: direct light on the panel and some diffuse light."""
    latitude, clear, swing = PLACES[place]
    sky = clear + swing * 0.5 * np.cos((month - 6) / 6 * np.pi)
    phi, beta, gamma = np.radians([latitude, tilt, FACES[face]])
    declination = np.radians(23.45) * np.sin(2 * np.pi * (284 + 30.4 * month + 15) / 365)
    angle = np.radians((HOURS - 12) * 15)
    height = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(angle)
    south = np.cos(declination) * np.cos(angle) * np.sin(phi) - np.sin(declination) * np.cos(phi)
    west = np.cos(declination) * np.sin(angle)
    onto = np.cos(beta) * height + np.sin(beta) * (south * np.cos(gamma) + west * np.sin(gamma))
    up = height > 0
    direct = np.where(up, np.clip(onto, 0, None) * np.exp(-0.16 / np.clip(height, 0.08, None)), 0)
    diffuse = np.where(up, 0.14 * height * (1 + np.cos(beta)) / 2, 0)
    return area * 0.2 * (direct * sky + diffuse)


# %% id=controls grid=3,0,4,15
wide = widgets.Layout(width="100%")
place = widgets.Dropdown(options=list(PLACES), value="Lyon, 46° N", layout=wide)
face = widgets.Dropdown(options=list(FACES), layout=wide)
area = widgets.IntSlider(20, 5, 80, 5, layout=wide)
tilt = widgets.IntSlider(35, 0, 90, 5, layout=wide)
need = widgets.IntSlider(3500, 1000, 9000, 250, layout=wide)
labels = (
    "Place",
    "The roof faces",
    "Panels, m²",
    "Tilt, degrees",
    "Electricity used in a year, kWh",
)
controls = (place, face, area, tilt, need)
for label, control in zip(labels, controls, strict=True):
    control.tooltip = label
widgets.VBox(
    [box for pair in zip(map(widgets.Label, labels), controls, strict=True) for box in pair]
)


# %% id=answer grid=3,4,8,4
def yearly():
    """(kWh made in each month, kWh used in each month, kWh used as it is made)."""
    made = (
        np.array(
            [
                panel_power(month, place.value, tilt.value, face.value, area.value).sum() / 4
                for month in range(12)
            ]
        )
        * DAYS
    )
    winter = 1 + 0.25 * np.cos(np.arange(12) / 6 * np.pi)
    used = need.value * winter * DAYS / (winter * DAYS).sum()
    at_once = 0.0
    for month in range(12):
        power = panel_power(month, place.value, tilt.value, face.value, area.value)
        load = USE / USE.sum() * 4 * used[month] / DAYS[month]
        at_once += np.minimum(power, load).sum() / 4 * DAYS[month]
    return made, used, at_once


def answer():
    """The three figures an owner asks for."""
    made, used, at_once = yearly()
    saved = at_once * 0.27 + (made.sum() - at_once) * 0.08
    return tiles(
        (
            "Made in a year",
            f"{made.sum():,.0f} kWh",
            f"{made.sum() / need.value:.0%} of what you use",
        ),
        ("Used as it is made", f"{at_once / made.sum():.0%}", "the rest goes to the grid", AMBER),
        ("Worth", f"€{saved:,.0f}", "a year, at €0.27 and €0.08", VIOLET),
    )


answer_display = display(answer(), display_id="answer")


# %% id=months grid=7,4,8,11
def months():
    """Made against used, month by month."""
    made, used, _ = yearly()
    figure, axes = plt.subplots(figsize=(9.4, 3.3))
    axes.bar(MONTHS, made, color=AMBER, width=0.62, label="made")
    axes.step(
        np.arange(-0.5, 12.5),
        np.append(used, used[-1]),
        where="post",
        color=TEAL,
        linewidth=2.4,
        label="used",
    )
    axes.set(title="kWh per month", xlim=(-0.6, 11.6), ylim=(0, max(made.max(), used.max()) * 1.25))
    axes.grid(axis="x", visible=False)
    axes.legend(loc="upper left", ncols=2)
    return picture(
        figure,
        alt=f"Bars of electricity made per month, most in {MONTHS[int(made.argmax())]}, against the electricity used.",
    )


months_display = display(months(), display_id="months")


# %% id=link
def redraw(change):
    """Replace both figures in place, wherever they stand on the page."""
    answer_display.update(answer())
    months_display.update(months())


for control in controls:
    control.observe(redraw, names="value")

# %% [markdown] id=day-title grid=18,0,4,12
# ## A day on this roof
#
# What is made while it is used costs nothing. The rest of the orange hill goes to the grid, and what the
# panels don't give comes back from there.

# %% id=day grid=18,4,8,12
month = widgets.SelectionSlider(
    options=MONTHS,
    value="Jun",
    description="Month",
    continuous_update=False,
    layout=widgets.Layout(width="22rem"),
)


def day(month, place, face, area, tilt, need):
    """Power made and used over a mean day; runs inside an Output widget."""
    power = panel_power(MONTHS.index(month), place, tilt, face, area)
    load = USE / USE.sum() * 4 * need / 365
    figure, axes = plt.subplots(figsize=(9.4, 2.9))
    axes.fill_between(
        HOURS, np.minimum(power, load), color=GREEN, alpha=0.35, linewidth=0, label="used at once"
    )
    axes.plot(HOURS, power, color=AMBER, label="made")
    axes.plot(HOURS, load, color=TEAL, label="used")
    axes.set(
        title=f"kW on a mean day in {month}",
        xlim=(0, 24),
        ylim=(0, max(power.max(), load.max()) * 1.1),
        xticks=range(0, 25, 3),
    )
    axes.legend(loc="upper left")
    display(
        picture(
            figure,
            alt=f"Power made and used over a day in {month}; the panels make at most {power.max():.1f} kW.",
        )
    )


by_day = widgets.interactive_output(
    day, {"month": month, "place": place, "face": face, "area": area, "tilt": tilt, "need": need}
)
widgets.VBox([month, by_day])
