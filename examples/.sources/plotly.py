# Plotly figures, stored as application/vnd.plotly.v1+json: hover, zoom, range slider.
# view: grid_default

# %% [markdown] id=title grid=0,0,12,3
# # An island's electricity
#
# Wind, sun and a cable on the (invented) island of Sulvøy. Point at a figure, drag in it, double-click to go back.

# %% id=plotly
import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

INK, LINE, CLEAR = "#717c8b", "rgba(113,124,139,0.28)", "rgba(0,0,0,0)"
COLOURS = {
    "Wind": "#12a192",
    "Sun": "#e2902b",
    "Cable": "#8a74e0",
    "Homes": "#5aa845",
    "Fish farm": "#e0567c",
    "Ferry": "#4a90d9",
}
axis = {"gridcolor": LINE, "linecolor": LINE, "zeroline": False, "automargin": True}
pio.renderers.default = "plotly_mimetype"
pio.templates["page"] = go.layout.Template(
    layout={
        "font": {"color": INK, "size": 13},
        "title": {"x": 0.01, "font": {"size": 15}},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "colorway": list(COLOURS.values()),
        "margin": {"l": 40, "r": 16, "t": 48, "b": 36},
        "xaxis": axis,
        "yaxis": axis,
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "#20262e", "font": {"color": "#f2f4f7"}},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
    }
)
pio.templates.default = "page"

random = np.random.default_rng(59)
hours = np.arange(0, 24 * 10, 1)
stamps = (np.datetime64("2025-05-05T00") + hours.astype("timedelta64[h]")).astype(str)


def smooth(values, width):
    """A moving mean over so many hours."""
    return np.convolve(np.pad(values, width, mode="edge"), np.ones(width) / width, mode="same")[
        width:-width
    ]


speed = np.clip(smooth(random.normal(8, 9, hours.size), 14), 0.4, None)  # m/s
wind = 5.2 * np.clip((speed - 3) / 9, 0, 1) ** 1.6
sun = (
    2.4
    * np.clip(np.sin((hours % 24 - 5) / 16 * np.pi), 0, None)
    * np.repeat(random.uniform(0.35, 1, 10), 24)
)
sun[(hours % 24 < 5) | (hours % 24 > 21)] = 0
need = (
    3.1
    + 0.9 * np.sin((hours % 24 - 9) / 24 * 2 * np.pi)
    + smooth(random.normal(0, 0.5, hours.size), 3)
)
wind_used, sun_used = np.minimum(wind, need), np.minimum(sun, np.clip(need - wind, 0, None))
cable = need - wind_used - sun_used

# %% id=mix grid=3,0,12,13
figure = go.Figure()
for name, series in (("Wind", wind_used), ("Sun", sun_used), ("Cable", cable)):
    figure.add_scatter(
        x=stamps,
        y=series.round(2).tolist(),
        name=name,
        stackgroup="mix",
        line={"width": 0.6, "color": COLOURS[name]},
        hovertemplate="%{y:.1f} MW",
    )
figure.update_layout(
    title="Where the power came from, MW", height=380, margin={"t": 76}, title_y=0.97
)
figure.update_xaxes(
    rangeslider={
        "visible": True,
        "thickness": 0.12,
        "bgcolor": CLEAR,
        "bordercolor": LINE,
        "borderwidth": 1,
    },
    range=[stamps[0], stamps[120]],
)
figure

# %% id=flow grid=16,0,7,13
uses = {"Homes": 0.52, "Fish farm": 0.33, "Ferry": 0.15}
made = {"Wind": wind_used.sum(), "Sun": sun_used.sum(), "Cable": cable.sum()}
names = [*made, *uses]
links = [
    (names.index(a), names.index(b), round(float(amount * share), 1), COLOURS[a])
    for a, amount in made.items()
    for b, share in uses.items()
]
source, target, value, colour = map(list, zip(*links, strict=True))
figure = go.Figure(
    go.Sankey(
        node={
            "label": names,
            "color": [COLOURS[name] for name in names],
            "pad": 22,
            "thickness": 16,
            "line": {"width": 0},
        },
        link={
            "source": source,
            "target": target,
            "value": value,
            "color": [
                f"rgba({int(c[1:3], 16)},{int(c[3:5], 16)},{int(c[5:], 16)},0.35)" for c in colour
            ],
        },
        valueformat=".0f",
        valuesuffix=" MWh",
        textfont={"color": INK, "size": 14, "shadow": "none"},
    )
)
figure.update_layout(
    title="From source to use in ten days, MWh", height=370, margin={"b": 20}, hovermode="closest"
)
figure

# %% id=rose grid=16,7,5,13
origin = (225 + 60 * np.sin(hours / 40) + random.normal(0, 28, hours.size)) % 360
sectors = np.arange(0, 360, 30)
figure = go.Figure()
for low, high, shade in ((0, 6, "#9fd8d0"), (6, 10, "#12a192"), (10, 99, "#0b5f57")):
    inside = (speed >= low) & (speed < high)
    count = [int(((origin[inside] - sector + 15) % 360 < 30).sum()) for sector in sectors]
    label = f"{low}–{high} m/s" if high < 99 else f"over {low} m/s"
    figure.add_barpolar(
        r=count,
        theta=sectors.tolist(),
        width=[30] * 12,
        name=label,
        marker={"color": shade},
        hovertemplate="%{r} hours from %{theta}°",
    )
figure.update_layout(
    title="Where the wind came from",
    height=370,
    hovermode="closest",
    margin={"l": 30, "r": 30, "t": 60, "b": 50},
    legend={"y": -0.08, "yanchor": "top", "x": 0.5, "xanchor": "center"},
    polar={
        "bgcolor": CLEAR,
        "angularaxis": {
            "direction": "clockwise",
            "rotation": 90,
            "tickvals": [0, 90, 180, 270],
            "ticktext": ["N", "E", "S", "W"],
            "gridcolor": LINE,
            "linecolor": LINE,
        },
        "radialaxis": {"showticklabels": False, "ticks": "", "gridcolor": LINE, "showline": False},
    },
)
figure

# %% id=clock grid=29,0,12,11
figure = go.Figure(
    go.Heatmap(
        z=cable.reshape(10, 24).round(2).tolist(),
        x=list(range(24)),
        y=[f"{day} May" for day in range(5, 15)],
        colorscale=[[0, "rgba(138,116,224,0.06)"], [1, "#8a74e0"]],
        colorbar={"title": {"text": "MW"}, "thickness": 12, "outlinewidth": 0},
        hovertemplate="%{y}, %{x}:00 – %{z:.1f} MW<extra></extra>",
        xgap=2,
        ygap=2,
    )
)
figure.update_layout(title="When the cable was needed", height=310, hovermode="closest")
figure.update_xaxes(showgrid=False, dtick=3, ticksuffix=":00")
figure.update_yaxes(showgrid=False, autorange="reversed")
figure
