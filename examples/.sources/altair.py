# Altair charts, stored as Vega-Lite 6: a brush, a legend to click, tooltips.
# view: grid_default

# %% [markdown] id=title grid=0,0,12,3
# # An orchard in numbers
#
# 240 apple trees, invented. Drag over the trees to count a part of them; click a variety to pick it out.

# %% id=altair
import altair as alt
import numpy as np
import pandas as pd

INK = "#717c8b"
VARIETIES = {"Discovery": "#e0567c", "Cox": "#e2902b", "Bramley": "#5aa845", "Topaz": "#8a74e0"}


@alt.theme.register("page", enable=True)
def page_theme():
    """See-through charts whose text can be read on light and on dark pages."""
    axis = {
        "labelColor": INK,
        "titleColor": INK,
        "gridColor": INK,
        "gridOpacity": 0.2,
        "domainColor": INK,
        "domainOpacity": 0.5,
        "tickColor": INK,
        "titleFontWeight": "normal",
    }
    text = {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12}
    return alt.theme.ThemeConfig(
        {
            "config": {
                "background": None,
                "axis": {**axis, **text},
                "legend": text,
                "title": {
                    "color": INK,
                    "fontSize": 15,
                    "anchor": "start",
                    "fontWeight": "normal",
                    "offset": 12,
                },
                "view": {"stroke": None},
            }
        }
    )


def vega_lite(spec, **_):
    """A chart as its bare Vega-Lite document, under the media type's registered spelling (with a plus)."""
    return {"application/vnd.vegalite.v6+json": spec}


alt.renderers.register("vega_lite", vega_lite)
alt.renderers.enable("vega_lite")

random = np.random.default_rng(1886)
trees = []
for number, (variety, age, sweet, yearly) in enumerate(
    (
        ("Discovery", 9, 12.4, 3.6),
        ("Cox", 22, 13.8, 2.1),
        ("Bramley", 30, 9.8, 3.2),
        ("Topaz", 14, 13.0, 3.0),
    )
):
    for tree in range(60):
        years = int(np.clip(random.normal(age, 5), 2, 45))
        trees.append(
            {
                "variety": variety,
                "row": number * 3 + tree // 20 + 1,
                "tree": tree % 20 + 1,
                "age": years,
                "apples": round(
                    float(max(3, yearly * 14 * (1 - np.exp(-years / 9)) + random.normal(0, 6))), 1
                ),
                "sugar": round(float(sweet + random.normal(0, 0.7)), 1),
            }
        )
trees = pd.DataFrame(trees)
colour = alt.Color(
    "variety:N", title=None, scale=alt.Scale(domain=list(VARIETIES), range=list(VARIETIES.values()))
)
hint = [
    "variety:N",
    alt.Tooltip("age:Q", title="age, years"),
    alt.Tooltip("apples:Q", title="apples, kg"),
    alt.Tooltip("sugar:Q", title="sugar, °Bx"),
]

# %% id=brush grid=3,0,6,17
brush = alt.selection_interval()
dots = (
    alt.Chart(trees, width=480, height=250, title="Old trees bear more")
    .mark_circle(size=60, opacity=0.8)
    .encode(
        alt.X("age:Q", title="age, years"),
        alt.Y("apples:Q", title="apples, kg a year"),
        color=alt.when(brush).then(colour.legend(None)).otherwise(alt.value("#717c8b55")),
        tooltip=hint,
    )
    .add_params(brush)
)
bars = (
    alt.Chart(trees, width=480, height=96)
    .mark_bar(cornerRadiusEnd=3)
    .encode(
        alt.X("count():Q", title="trees in the selection", scale=alt.Scale(domain=[0, 60])),
        alt.Y("variety:N", title=None),
        colour.legend(None),
    )
    .transform_filter(brush)
)
(dots & bars).properties(usermeta={"embedOptions": {"actions": False}})

# %% id=sugar grid=3,6,6,17
pick = alt.selection_point(fields=["variety"], bind="legend")
hills = (
    alt.Chart(trees, width=480, height=170)
    .transform_density("sugar", groupby=["variety"], as_=["sugar", "share"], extent=[7.5, 16])
    .mark_area(opacity=0.55)
    .encode(
        alt.X("sugar:Q", title="sugar, °Brix"),
        alt.Y("share:Q", axis=None, stack=None),
        colour.legend(orient="bottom", symbolType="circle"),
        opacity=alt.when(pick).then(alt.value(0.6)).otherwise(alt.value(0.08)),
    )
    .add_params(pick)
)
boxes = (
    alt.Chart(trees, width=480, height=150)
    .mark_boxplot(
        size=20, median={"color": "white"}, rule={"color": INK}, ticks=False, outliers={"size": 22}
    )
    .encode(
        alt.X("apples:Q", title="apples, kg a year"),
        alt.Y("variety:N", title=None),
        colour.legend(None),
        opacity=alt.when(pick).then(alt.value(1)).otherwise(alt.value(0.15)),
    )
)
(hills & boxes).resolve_scale(color="independent").properties(
    title="Sweet ones and heavy ones", usermeta={"embedOptions": {"actions": False}}
)

# %% id=map grid=20,0,12,13
(
    alt.Chart(
        trees,
        width="container",
        height=270,
        title="The orchard from above",
    )
    .mark_circle(opacity=0.9)
    .encode(
        alt.X(
            "tree:Q",
            title="tree in the row",
            scale=alt.Scale(domain=[0, 21], nice=False),
            axis=alt.Axis(grid=False, tickCount=10),
        ),
        alt.Y("row:O", title="row"),
        alt.Size("apples:Q", scale=alt.Scale(range=[20, 320]), legend=None),
        alt.Color("sugar:Q", title="°Bx", scale=alt.Scale(scheme="goldred")),
        tooltip=hint,
    )
    .properties(usermeta={"embedOptions": {"actions": False}})
)
