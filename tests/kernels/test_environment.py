from __future__ import annotations

import json

import pytest

from jupyter_dashboards_api.errors import InvalidRequest
from jupyter_dashboards_api.kernels.environment import (
    SERVER_CREDENTIALS,
    KernelRequest,
    clean_query,
    gateway_environment,
    local_environment,
)

REQUEST = KernelRequest(
    path="sales/report.ipynb",
    owner="user:ada",
    query="year=2026&token=secret&_xsrf=2%7Cabc&q=a%26b",
    user={"username": "ada", "name": "Ada L.", "hub_user": {"auth_state": "secret"}},
)

CREDENTIALS = [
    "JUPYTER_TOKEN",
    "JUPYTER_TOKEN_FILE",
    "JUPYTERHUB_API_TOKEN",
    "JPY_API_TOKEN",
    "JUPYTERHUB_COOKIE_SECRET",
    "JUPYTERHUB_CRYPT_KEY",
    "JUPYTERHUB_OAUTH_ACCESS_SCOPES",
    "CONFIGPROXY_AUTH_TOKEN",
    "KG_AUTH_TOKEN",
    "EG_AUTH_TOKEN",
    "JUPYTER_GATEWAY_AUTH_TOKEN",
    "JUPYTER_GATEWAY_HTTP_PWD",
    "JUPYTER_GATEWAY_HEADERS",
    "KERNEL_GATEWAY_TOKEN",
    "JUPYTER_PASSWORD",
    "JUPYTER_DASHBOARDS_DATABASE_URL",
    "Jupyter_Dashboards_Database_Url",
    "jupyter_token",
]


@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_local_kernel_does_not_inherit_a_credential_of_the_server(name: str) -> None:
    environment = local_environment(REQUEST, {name: "secret"}, SERVER_CREDENTIALS)
    assert name not in environment
    assert "secret" not in environment.values()


def test_a_local_kernel_inherits_everything_else() -> None:
    server = {"PATH": "/bin", "PGPASSWORD": "x", "JUPYTERHUB_USER": "ada", "JUPYTER_PATH": "/j"}
    environment = local_environment(REQUEST, server, SERVER_CREDENTIALS)
    assert environment.items() >= server.items()


def test_a_kernel_gets_the_documented_variables() -> None:
    environment = local_environment(REQUEST, {"QUERY_STRING": "stale"}, ())
    assert environment["QUERY_STRING"] == "year=2026&q=a%26b"
    assert environment["DASHBOARD_PATH"] == "sales/report.ipynb"
    assert environment["DASHBOARD_USER"] == "ada"
    assert json.loads(environment["KERNEL_USER_AUTH"]) == {"username": "ada", "name": "Ada L."}


def test_renderers_that_need_no_outside_host_are_the_default_but_the_operator_decides() -> None:
    default = local_environment(REQUEST, {}, ())
    assert default["PLOTLY_RENDERER"] == "plotly_mimetype"
    assert default["BOKEH_RESOURCES"] == "inline"
    assert local_environment(REQUEST, {"BOKEH_RESOURCES": "cdn"}, ())["BOKEH_RESOURCES"] == "cdn"


def test_a_gateway_is_not_sent_the_servers_environment() -> None:
    environment = gateway_environment(REQUEST, {"PATH": "/bin", "PGPASSWORD": "secret"})
    assert "PATH" not in environment
    assert "PGPASSWORD" not in environment
    assert environment["KERNEL_QUERY_STRING"] == "year=2026&q=a%26b"
    assert environment["KERNEL_DASHBOARD_PATH"] == "sales/report.ipynb"
    assert environment["KERNEL_DASHBOARD_USER"] == environment["KERNEL_USERNAME"] == "ada"


def test_the_operators_gateway_user_is_kept() -> None:
    assert "KERNEL_USERNAME" not in gateway_environment(REQUEST, {"KERNEL_USERNAME": "spark"})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ""),
        ("?a=1", "a=1"),
        ("token=x", ""),
        ("TOKEN=x&a", "a"),
        ("%74oken=x&a=1", "a=1"),
        ("a=token=x", "a=token=x"),
        ("tokens=1", "tokens=1"),
    ],
)
def test_the_query_string_loses_the_servers_own_parameters(query: str, expected: str) -> None:
    assert clean_query(query) == expected


@pytest.mark.parametrize("query", ["a" * 4097, "a=\0", "a=\ud800"])
def test_a_query_that_cannot_be_a_variable_is_refused(query: str) -> None:
    with pytest.raises(InvalidRequest):
        local_environment(KernelRequest("a.ipynb", "o", query=query), {}, ())
