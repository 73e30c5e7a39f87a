"""ipywidgets, and custom widgets that pip has installed, each talking to its own kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from nbformat.v4 import new_code_cell
from playwright.sync_api import Page, expect

from .conftest import Site, Visit
from .notebooks import PNG

CORE = {
    "imports": "import ipywidgets as w\nfrom IPython.display import HTML, display",
    "slider": """
size, told = w.IntSlider(description='Size', value=3), w.Label('nothing yet')
size.observe(lambda change: setattr(told, 'value', f'size is {change.new}'), 'value')
display(w.VBox([size, told]))""",
    "unnamed": "w.IntSlider()",
    "interact": """
@w.interact(number=(0, 10), shout=False)
def square(number=2, shout=False):
    print('squared:', number ** 2, '!' if shout else '')""",
    "output": """
out, button = w.Output(), w.Button(description='Count')
clicks = []
def clicked(_):
    clicks.append(1)
    with out:
        print('click', len(clicks))
        display(HTML(f'<b>{len(clicks)} so far</b>'))
button.on_click(clicked)
display(button, out)""",
    "replaced": """
shown, choice = w.Output(), w.Dropdown(options=['apples', 'pears'], description='Fruit')
@shown.capture(clear_output=True, wait=True)
def choose(change):
    print('chosen:', change.new)
choice.observe(choose, 'value')
display(choice, shown)""",
    "tabs": "w.Tab([w.Text('first page'), w.Checkbox(description='Agreed')], titles=['One', 'Two'])",
    "picture": f"import base64\nw.Image(value=base64.b64decode('{PNG}'), format='png')",
    "upload": """
files, counted = w.FileUpload(), w.Label('no file')
def count(change):
    content = bytes(change.new[0].content)
    counted.value = f'{change.new[0].name}: {len(content)} bytes, sum {sum(content)}'
files.observe(count, 'value')
display(w.HBox([files, counted]))""",
    "failing": """
broken, report = w.Button(description='Break'), w.Output()
@report.capture()
def fail(_):
    raise ValueError('TheAuthorsSecret')
broken.on_click(fail)
display(broken, report)""",
    "mathematics": "w.HTMLMath('The root is $\\\\sqrt{2}$.')",
    "unknown": """
from traitlets import Unicode
class Nobody(w.DOMWidget):
    _model_name = Unicode('NobodyModel').tag(sync=True)
    _model_module = Unicode('nobody-has-this').tag(sync=True)
    _model_module_version = Unicode('1.0.0').tag(sync=True)
    _view_name = Unicode('NobodyView').tag(sync=True)
    _view_module = Unicode('nobody-has-this').tag(sync=True)
    _view_module_version = Unicode('1.0.0').tag(sync=True)
Nobody()""",
    "after": "w.Label('the end')",
}

CUSTOM = {
    "bqplot": """
import bqplot, ipywidgets as w
import numpy as np
scales = {'x': bqplot.LinearScale(), 'y': bqplot.LinearScale()}
dots = bqplot.Scatter(x=np.arange(4.0), y=np.arange(4.0) ** 2, scales=scales)
bqplot.Figure(marks=[dots], axes=[bqplot.Axis(scale=scales['x'])], animation_duration=0)""",
    "more": """
more = w.Button(description='More dots')
def add(_):
    dots.x, dots.y = np.arange(6.0), np.arange(6.0) ** 2
more.on_click(add)
more""",
    "ipympl": """
%matplotlib widget
import matplotlib.pyplot as plt
figure, axes = plt.subplots(num='Squares', figsize=(4, 3))
axes.plot([1, 4, 9])
plt.show()""",
    "ipyleaflet": """
import ipyleaflet
centre = w.Label()
plan = ipyleaflet.Map(center=(52.5, 13.4), zoom=9, scroll_wheel_zoom=True,
                      layers=[ipyleaflet.Marker(location=(52.5, 13.4))])
plan.observe(lambda change: setattr(centre, 'value', f'zoom is {int(change.new)}'), 'zoom')
w.VBox([plan, centre])""",
    "anywidget": """
import anywidget, traitlets
class Counter(anywidget.AnyWidget):
    _esm = '''
    export default { render({ model, el }) {
      const button = document.createElement("button");
      button.className = "counting";
      const show = () => { button.textContent = `counted ${model.get("count")}`; };
      button.onclick = () => { model.set("count", model.get("count") + 1); model.save_changes(); };
      model.on("change:count", show); show(); el.append(button);
    } }'''
    _css = '.counting { color: rgb(1, 2, 3); }'
    count = traitlets.Int(0).tag(sync=True)
counter, heard = Counter(), w.Label()
counter.observe(lambda change: setattr(heard, 'value', f'the kernel has {change.new}'), 'count')
w.VBox([counter, heard])""",
    "plotly": """
import plotly.graph_objects as go
chart = go.FigureWidget(go.Bar(x=['a', 'b'], y=[3, 7]))
third = w.Button(description='Third bar')
def extend(_):
    chart.data[0].update(x=['a', 'b', 'c'], y=[3, 7, 5])
third.on_click(extend)
w.VBox([chart, third])""",
    "after": "w.Label('the end')",
}


class Board:
    """A visited page of widgets, its cells by name."""

    def __init__(self, visit: Visit, names: list[str]) -> None:
        self.visit = visit
        self.names = names

    def __getitem__(self, name: str) -> Any:
        return self.visit.cell(self.names.index(name))


def open_board(site: Site, name: str, cells: dict[str, str]) -> Board:
    site.write(f"{name}.ipynb", *(new_code_cell(source.strip()) for source in cells.values()))
    board = Board(site.visit(f"/dashboards/{name}"), list(cells))
    board.visit.wait_until_live()
    expect(board["after"]).to_have_text("the end")
    return board


@pytest.fixture(scope="module")
def core(module_site: Site) -> Iterator[Board]:
    board = open_board(module_site, "core-widgets", CORE)
    yield board
    board.visit.page.close()


@pytest.fixture(scope="module")
def custom(module_site: Site) -> Iterator[Board]:
    board = open_board(module_site, "custom-widgets", CUSTOM)
    yield board
    board.visit.page.close()


def test_a_slider_s_change_reaches_the_kernel_and_its_answer_the_page(core: Board) -> None:
    slider = core["slider"].get_by_role("slider")
    slider.focus()
    slider.press("ArrowRight")
    expect(core["slider"]).to_contain_text("size is 4")
    slider.press("ArrowLeft")
    slider.press("ArrowLeft")
    expect(core["slider"]).to_contain_text("size is 2")


def test_a_dragged_slider_ends_at_the_value_where_it_was_left(core: Board) -> None:
    slider = core["slider"].get_by_role("slider")
    box = core["slider"].locator(".noUi-base").bounding_box()
    assert box is not None
    page: Page = core.visit.page
    slider.hover()
    page.mouse.down()
    for step in range(20):
        page.mouse.move(box["x"] + box["width"] * step / 20, box["y"] + 5)
    page.mouse.move(box["x"] + box["width"], box["y"] + 5)
    page.mouse.up()
    expect(core["slider"]).to_contain_text("size is 100")


def test_interact_shows_what_its_function_prints(core: Board) -> None:
    expect(core["interact"]).to_contain_text("squared: 4")
    core["interact"].get_by_role("slider").focus()
    core["interact"].get_by_role("slider").press("ArrowRight")
    expect(core["interact"]).to_contain_text("squared: 9")
    core["interact"].get_by_role("checkbox").check()
    expect(core["interact"]).to_contain_text("squared: 9 !")
    expect(core["interact"]).not_to_contain_text("squared: 4")


def test_an_output_widget_collects_what_callbacks_show(core: Board) -> None:
    button = core["output"].get_by_role("button", name="Count")
    button.click()
    expect(core["output"].locator("b")).to_have_text(["1 so far"])
    button.click()
    expect(core["output"].locator("b")).to_have_text(["1 so far", "2 so far"])
    expect(core["output"]).to_contain_text("click 2")


def test_an_output_widget_that_is_cleared_shows_the_last_result_only(core: Board) -> None:
    core["replaced"].get_by_label("Fruit").select_option("pears")
    expect(core["replaced"].locator("pre")).to_have_text("chosen: pears")
    core["replaced"].get_by_label("Fruit").select_option("apples")
    expect(core["replaced"].locator("pre")).to_have_text("chosen: apples")


def test_tabs_show_one_page_at_a_time(core: Board) -> None:
    expect(core["tabs"].get_by_role("textbox")).to_have_value("first page")
    expect(core["tabs"].get_by_label("Agreed")).to_be_hidden()
    core["tabs"].get_by_role("tab", name="Two").click()
    expect(core["tabs"].get_by_label("Agreed")).to_be_visible()
    expect(core["tabs"].get_by_role("textbox")).to_be_hidden()


def test_binary_buffers_go_both_ways(core: Board) -> None:
    picture = core["picture"].locator("img")
    expect(picture).to_be_visible()
    expect(picture).to_have_js_property("naturalWidth", 5)
    content = bytes(range(256)) * 1000
    with core.visit.page.expect_file_chooser() as chooser:
        core["upload"].get_by_role("button").click()
    chooser.value.set_files(
        [{"name": "data.bin", "mimeType": "application/octet-stream", "buffer": content}]
    )
    expect(core["upload"]).to_contain_text(f"data.bin: 256000 bytes, sum {sum(content)}")


def test_a_failing_callback_shows_the_viewer_s_text(core: Board) -> None:
    core["failing"].get_by_role("button").click()
    expect(core["failing"].get_by_role("alert")).to_have_text(
        "This part of the dashboard could not be computed."
    )
    assert "TheAuthorsSecret" not in core.visit.page.content()


def test_a_widget_nobody_provides_says_so_and_harms_no_other(core: Board) -> None:
    expect(core["unknown"].get_by_role("alert")).to_contain_text("cannot be shown")
    expect(core["unknown"].get_by_role("alert")).to_contain_text("nobody-has-this")


def test_controls_without_a_description_have_a_name(core: Board) -> None:
    expect(core["unnamed"].get_by_role("slider", name="Int slider")).to_be_visible()


def test_mathematics_in_widgets_is_typeset(core: Board) -> None:
    expect(core["mathematics"].locator(".katex")).to_be_visible()


def test_bqplot_draws_and_follows_the_kernel(custom: Board) -> None:
    expect(custom["bqplot"].locator("svg .dot")).to_have_count(4)
    custom["more"].get_by_role("button").click()
    expect(custom["bqplot"].locator("svg .dot")).to_have_count(6)


def test_ipympl_draws_on_a_canvas_with_its_toolbar(custom: Board) -> None:
    canvas = custom["ipympl"].locator("canvas").first
    expect(canvas).to_be_visible()
    custom.visit.page.wait_for_function(
        """canvas => canvas.width > 100 && new Uint32Array(canvas.getContext("2d")
             .getImageData(0, 0, canvas.width, canvas.height).data.buffer).some(Boolean)""",
        arg=canvas.element_handle(),
    )
    canvas.hover(force=True)
    expect(custom["ipympl"].locator(".jupyter-matplotlib-toolbar button").first).to_be_visible()


def test_ipyleaflet_s_map_moves_and_tells_the_kernel(custom: Board) -> None:
    plan = custom["ipyleaflet"].locator(".leaflet-container")
    expect(plan).to_be_visible()
    expect(plan.locator(".leaflet-marker-icon")).to_be_visible()
    plan.locator(".leaflet-control-zoom-in").click()
    expect(custom["ipyleaflet"]).to_contain_text("zoom is 10")


def test_anywidget_s_own_module_runs_and_talks_to_the_kernel(custom: Board) -> None:
    button = custom["anywidget"].get_by_role("button")
    expect(button).to_have_text("counted 0")
    expect(button).to_have_css("color", "rgb(1, 2, 3)")
    button.click()
    button.click()
    expect(button).to_have_text("counted 2")
    expect(custom["anywidget"]).to_contain_text("the kernel has 2")


def test_a_figure_widget_is_changed_by_the_kernel(custom: Board) -> None:
    bars = custom["plotly"].locator(".bars .point")
    expect(bars).to_have_count(2)
    custom["plotly"].get_by_role("button", name="Third bar").click()
    expect(bars).to_have_count(3)


def test_widgets_ask_nothing_of_other_hosts(core: Board, custom: Board) -> None:
    for board in (core, custom):
        home = board.visit.page.url.split("/dashboards")[0]
        assert not [
            url for url in board.visit.requests if not url.startswith((home, "data:", "blob:"))
        ]
