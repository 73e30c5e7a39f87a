# One year of a bike-share scheme: tiles, time series, bars, a heat map and a table.
# view: grid_default

# %% [markdown] id=title grid=0,0,12,3
# # City bikes
#
# How the (invented) town of Lindhaven rode its 420 shared bikes in 2025.

# %% id=plots include=plots
# %% id=tiles include=tiles
# %% id=rides
import numpy as np
import pandas as pd

random = np.random.default_rng(2025)
days = pd.date_range("2025-01-01", "2025-12-31", freq="D")
season = np.sin((days.dayofyear - 105) / 365 * 2 * np.pi).to_numpy()
temperature = 10.5 + 9.5 * season + random.normal(0, 2.6, len(days))
rain = random.gamma(0.45, 5.0, len(days)) * (random.random(len(days)) < 0.48)
weekend = days.dayofweek >= 5
demand = 640 + 46 * np.clip(temperature, 0, 26) - 24 * np.minimum(rain, 22) - 130 * weekend
daily = pd.DataFrame(
    {
        "rides": random.poisson(np.clip(demand, 90, None)),
        "temperature": temperature,
        "rain": rain,
        "weekend": weekend,
    },
    index=days,
)

hours = np.arange(24)


def bumps(*peaks):
    """The share of a day's rides in each hour, from (hour, width, weight) peaks."""
    curve = (
        sum(weight * np.exp(-(((hours - hour) / width) ** 2)) for hour, width, weight in peaks)
        + 0.03
    )
    return curve / curve.sum()


working_day = bumps((8, 1.3, 1.0), (12.5, 2.0, 0.45), (17.4, 1.9, 1.15))
free_day = bumps((14.5, 4.0, 1.0), (21, 2.2, 0.25))
by_hour = pd.DataFrame(
    [
        (free_day if day >= 5 else working_day) * daily.rides[daily.index.dayofweek == day].mean()
        for day in range(7)
    ],
    index=["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    columns=hours,
)

stations = pd.DataFrame(
    {
        "Station": [
            "Central Station",
            "University",
            "Old Harbour",
            "Market Square",
            "Hospital",
            "Linden Park",
            "Stadium",
            "Mill Bridge",
        ],
        "Docks": [48, 40, 36, 32, 28, 28, 24, 20],
        "Rides": (
            daily.rides.sum() * np.array([0.21, 0.17, 0.145, 0.135, 0.105, 0.095, 0.08, 0.06])
        )
        .round()
        .astype(int),
        "Empty": [0.062, 0.048, 0.031, 0.044, 0.019, 0.026, 0.071, 0.012],
    }
)

# %% id=figures grid=3,0,12,4
best = daily.rides.idxmax()
dry, wet = daily.rides[daily.rain == 0].mean(), daily.rides[daily.rain > 5].mean()
tiles(
    ("Rides in 2025", f"{daily.rides.sum():,}", f"{daily.rides.mean():,.0f} a day"),
    (
        "Busiest day",
        f"{best:%-d %B}",
        f"{daily.rides.max():,} rides at {daily.temperature[best]:.0f} °C",
        AMBER,
    ),
    ("A wet day costs", f"{1 - wet / dry:.0%}", "of the rides of a dry one", VIOLET),
    ("Each bike", f"{daily.rides.sum() / 420 / 365:.1f}×", "ridden per day", ROSE),
)

# %% id=year grid=7,0,8,12
monthly = daily.rides.groupby(daily.index.month).mean()
figure, axes = plt.subplots(figsize=(9.4, 3.55))
axes.fill_between(
    daily.index, daily.rides, step="mid", color=TEAL, alpha=0.28, linewidth=0, label="day"
)
axes.plot(
    daily.rides.rolling(14, center=True, min_periods=7).mean(),
    color=TEAL,
    linewidth=2.4,
    label="two-week mean",
)
axes.annotate(
    f"{daily.rides.max():,}",
    (best, daily.rides.max()),
    xytext=(0, 5),
    textcoords="offset points",
    ha="center",
    color=AMBER,
    weight="bold",
)
axes.set(
    title="Rides per day",
    xlim=(daily.index[0], daily.index[-1]),
    ylim=(0, daily.rides.max() * 1.14),
)
axes.xaxis.set_major_formatter(plt.matplotlib.dates.DateFormatter("%b"))
axes.yaxis.set_major_formatter("{x:,.0f}")
axes.grid(axis="x", visible=False)
axes.legend(loc="upper left", ncols=2)
picture(
    figure,
    alt=f"Rides per day in 2025: on average {monthly[1]:.0f} in January, {monthly[7]:.0f} in July, {monthly[12]:.0f} in December.",
)

# %% id=weather grid=7,8,4,12
figure, axes = plt.subplots(figsize=(4.6, 3.55))
for name, group, colour in (
    ("dry", daily[daily.rain == 0], AMBER),
    ("rain", daily[daily.rain > 0], VIOLET),
):
    axes.scatter(
        group.temperature, group.rides, s=15, color=colour, alpha=0.6, linewidths=0, label=name
    )
axes.set(title="Warm and dry fills the saddles", xlabel="°C, mean of the day", ylabel="rides")
axes.yaxis.set_major_formatter("{x:,.0f}")
axes.legend(loc="upper left", handletextpad=0.1, markerscale=1.6)
picture(
    figure,
    alt="Scatter of rides against temperature: rides rise with warmth, and rainy days lie below dry ones.",
)

# %% id=hours grid=19,0,6,11
figure, axes = plt.subplots(figsize=(7.1, 3.3))
axes.bar(hours - 0.2, by_hour.iloc[:5].mean(), width=0.4, color=TEAL, label="Monday to Friday")
axes.bar(hours + 0.2, by_hour.iloc[5:].mean(), width=0.4, color=AMBER, label="weekend")
axes.set(
    title="Rides per hour of the day", xlabel="o'clock", xticks=range(0, 24, 3), xlim=(-0.7, 23.7)
)
axes.grid(axis="x", visible=False)
axes.legend(loc="upper left")
picture(
    figure,
    alt="Bars of rides per hour: two rush-hour peaks on working days, one broad afternoon peak at weekends.",
)

# %% id=week grid=19,6,6,11
figure, axes = plt.subplots(figsize=(7.1, 3.3))
mesh = axes.pcolormesh(np.arange(25), np.arange(8), by_hour, cmap="viridis", edgecolor="none")
axes.set(
    title="The week, hour by hour",
    xticks=range(0, 25, 6),
    yticks=np.arange(7) + 0.5,
    yticklabels=by_hour.index,
)
axes.set_xticklabels([f"{hour}:00" for hour in range(0, 25, 6)])
axes.invert_yaxis()
axes.grid(visible=False)
axes.tick_params(length=0)
axes.spines[:].set_visible(False)
bar = figure.colorbar(mesh, ax=axes, pad=0.012, aspect=14)
bar.outline.set_visible(False)
bar.set_label("rides per hour")
picture(
    figure,
    alt="Heat map of weekday by hour: bright at 8 and 17 o'clock Monday to Friday, at 14 o'clock on weekends.",
)

# %% id=stations grid=30,0,12,10
(
    stations.assign(**{"Rides per dock a day": stations.Rides / stations.Docks / 365})
    .rename(columns={"Empty": "Time without a bike"})
    .style.hide(axis="index")
    .format({"Rides": "{:,}", "Time without a bike": "{:.1%}", "Rides per dock a day": "{:.2f}"})
    .bar(subset=["Rides"], color="#12a19255", width=92, vmin=0)
    .bar(subset=["Time without a bike"], color="#e0567c55", width=92, vmin=0)
    .set_table_styles(
        [
            {"selector": "", "props": "width: 100%"},
            {"selector": "th, td", "props": "text-align: right"},
            {
                "selector": "th:first-child, td:first-child",
                "props": "text-align: left; white-space: nowrap",
            },
        ]
    )
    .set_table_attributes(
        'aria-label="Stations: docks, rides, share of time without a bike, rides per dock and day"'
    )
    .set_uuid("stations")
)

# %% [markdown] id=note grid=40,0,12,2
# The numbers are drawn from a seeded random generator in this notebook; no town was counted.
