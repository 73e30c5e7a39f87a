"""Code that the server runs in a new kernel before a dashboard's first cell.

Altair shows charts by a script from an outside host unless another renderer is enabled, and has no
environment variable for that. Importing it takes a second, so the renderer is set when, and only if,
the notebook imports it. Altair 6 names its MIME type `application/vnd.vegalite.v6.json`; nbformat and
other viewers know the `+json` form.

What viewers run has no place in the history file of the server's user, so it is not written there.
"""

PYTHON = """\
def _():
    import importlib.abc, sys

    try:
        get_ipython().history_manager.enabled = False
    except Exception:
        pass

    class AltairFinder(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name != "altair":
                return None
            sys.meta_path.remove(self)
            import importlib.util
            spec = importlib.util.find_spec(name)
            if spec is None or spec.loader is None:
                return spec
            run = spec.loader.exec_module

            def exec_module(module):
                run(module)
                try:
                    enable(module)
                except Exception:
                    pass

            spec.loader.exec_module = exec_module
            return spec

    def enable(altair):
        altair.renderers.enable("mimetype")
        render = altair.renderers.get()

        def mimetype(spec, **metadata):
            bundle = render(spec, **metadata)
            data = bundle[0] if isinstance(bundle, tuple) else bundle
            for name in list(data):
                if name.startswith("application/vnd.vega") and name.endswith(".json"):
                    data[name[: -len(".json")] + "+json"] = data.pop(name)
            return bundle

        altair.renderers.register("mimetype", mimetype)
        altair.renderers.enable("mimetype")

    if "altair" not in sys.modules:
        sys.meta_path.insert(0, AltairFinder())


_()
del _
"""

PREAMBLES = {"python": PYTHON}
"""By kernel language in lower case."""
