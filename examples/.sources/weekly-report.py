# A report to read from top to bottom: text that is computed, tables and plots.
# view: report_default

# %% [markdown] id=title grid=0,0,12,4
# # Weekly report: Three Ovens Bakery
#
# **Week 46, 10–16 November 2025** · for the shop managers · all numbers are invented
#
# ---

# %% id=plots include=plots
# %% id=tiles include=tiles
# %% id=sales
import numpy as np
import pandas as pd
from IPython.display import Markdown

random = np.random.default_rng(46)
SHOPS = {"Harbour": TEAL, "Hill Street": AMBER, "Station": VIOLET}
GOODS = {"Sourdough": 5.2, "Rolls": 0.9, "Croissants": 1.8, "Cakes": 3.9, "Coffee": 2.8}
days = pd.date_range("2025-11-03", "2025-11-16", freq="D")
pull = {
    "Harbour": [1, 0.95, 1, 1.05, 1.2, 1.6, 1.35],
    "Hill Street": [1, 1, 1, 1, 1.1, 1.35, 0.7],
    "Station": [1.3, 1.35, 1.3, 1.3, 1.25, 0.6, 0.45],
}
sold = pd.DataFrame(
    [
        {
            "day": day,
            "shop": shop,
            "good": good,
            "pieces": int(
                random.poisson(base * pull[shop][day.dayofweek] * (1.06 if day >= days[7] else 1))
            ),
        }
        for day in days
        for shop in SHOPS
        for good, base in zip(GOODS, (74, 310, 128, 52, 205), strict=True)
    ]
)
sold["euro"] = sold.pieces * sold.good.map(GOODS)
this_week, last_week = sold[sold.day >= days[7]], sold[sold.day < days[7]]
change = this_week.euro.sum() / last_week.euro.sum() - 1

# %% id=summary grid=4,0,12,7
by_shop = this_week.groupby("shop").euro.sum().sort_values(ascending=False)
growth = (
    this_week.groupby("good").euro.sum() / last_week.groupby("good").euro.sum() - 1
).sort_values()
best_day = this_week.groupby("day").euro.sum().idxmax()
Markdown(f"""## In short

We sold for **€{this_week.euro.sum():,.0f}**, {abs(change):.1%} {"more" if change > 0 else "less"} than the week before.
{by_shop.index[0]} led with €{by_shop.iloc[0]:,.0f}, and {best_day:%A} was the best day.
{growth.index[-1]} grew most ({growth.iloc[-1]:+.1%}), {growth.index[0].lower()} least ({growth.iloc[0]:+.1%}).

> The new opening hours at the station (from 05:30) began on Monday. Two more weeks of numbers are needed to judge them.
""")

# %% id=figures grid=11,0,12,4
tiles(
    ("Turnover", f"€{this_week.euro.sum():,.0f}", f"{change:+.1%} on last week"),
    (
        "Loaves",
        f"{this_week.pieces[this_week.good == 'Sourdough'].sum():,}",
        "sourdough, all shops",
        AMBER,
    ),
    ("Coffees", f"{this_week.pieces[this_week.good == 'Coffee'].sum():,}", "all shops", VIOLET),
)

# %% [markdown] id=shops-title grid=15,0,12,2
# ## Shops

# %% id=shops-plot grid=17,0,8,11
figure, panes = plt.subplots(1, 3, figsize=(9.4, 3.2), sharey=True)
for axes, (shop, colour) in zip(panes, SHOPS.items(), strict=True):
    for week, alpha in ((last_week, 0.35), (this_week, 1.0)):
        series = week[week.shop == shop].groupby("day").euro.sum()
        axes.plot(range(7), series, color=colour, alpha=alpha, marker="o", markersize=4)
    axes.set_title(shop, color=colour, weight="bold")
    axes.set_xticks(range(7), list("MTWTFSS"))
    axes.set_ylim(0)
panes[0].yaxis.set_major_formatter("€{x:,.0f}")
picture(
    figure,
    alt="Turnover per day in three shops, this week against last: Harbour peaks on Saturday, Station on working days.",
)

# %% [markdown] id=shops-caption grid=17,8,4,11
# *Turnover per day. Full colour: this week; pale: the week before.*

# %% id=shops-table grid=28,0,6,9
table = this_week.pivot_table(index="good", columns="shop", values="euro", aggfunc="sum").loc[
    list(GOODS), list(SHOPS)
]
table["All"] = table.sum(axis=1)
table.loc["All"] = table.sum()
(
    table.rename_axis(index=None, columns=None)
    .style.format("€{:,.0f}")
    .set_table_styles(
        [
            {"selector": "", "props": "width: 100%"},
            {"selector": "td, thead th", "props": "text-align: right"},
            {"selector": "tbody tr:last-child", "props": "font-weight: bold"},
        ]
    )
    .set_table_attributes('aria-label="Turnover by good and shop"')
    .set_uuid("turnover")
)

# %% id=goods-plot grid=28,6,6,9
figure, axes = plt.subplots(figsize=(7.1, 2.65))
axes.barh(
    growth.index, growth * 100, color=[TEAL if value > 0 else ROSE for value in growth], height=0.62
)
for row, value in enumerate(growth):
    axes.annotate(
        f"{value:+.1%}",
        (value * 100, row),
        xytext=(5 if value > 0 else -5, 0),
        textcoords="offset points",
        va="center",
        ha="left" if value > 0 else "right",
    )
axes.axvline(0, color=INK, linewidth=0.8)
axes.set(title="Change on last week", xticks=[])
axes.margins(x=0.18)
axes.grid(visible=False)
axes.spines[["left", "bottom"]].set_visible(False)
axes.tick_params(length=0)
picture(figure, alt="Bars: change of turnover by good against last week.")

# %% [markdown] id=next grid=37,0,12,8
# ## To do until next week
#
# | What | Who | Until |
# |:-----|:----|------:|
# | Order rye flour for the Advent loaves | Ilse | 19 Nov |
# | Count the unsold rolls at Hill Street each evening | Tomás | 21 Nov |
# | Ask commuters about the 05:30 opening | Amina | 23 Nov |
