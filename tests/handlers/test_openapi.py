"""The description of the API: valid, whole, and saying the scopes that the checks use."""

from __future__ import annotations

import json

from openapi_spec_validator import validate

from jupyter_dashboards_api.access.scopes import ALL, SCOPES
from jupyter_dashboards_api.handlers.openapi import describe, paths_of
from jupyter_dashboards_api.handlers.permissions import Audience
from jupyter_dashboards_api.handlers.routes import ROUTES
from tests.conftest import Fetch


async def test_everybody_can_read_a_valid_document_with_the_server_s_address(fetch: Fetch) -> None:
    response = await fetch("/_api/openapi.json", token=None)
    assert response.code == 200
    document = json.loads(response.body)
    validate(document)
    assert document["servers"] == [{"url": "/a%40b/"}]


def test_each_method_of_each_route_is_described_with_its_scope() -> None:
    paths = describe(ROUTES)["paths"]
    for route in ROUTES:
        for path in paths_of(route.template):
            for method, permission in route.permissions.items():
                operation = paths[path][method.lower()]
                assert operation["summary"] == route.summary
                if permission.audience is Audience.EVERYBODY:
                    assert operation["security"] == []
                else:
                    assert {"bearer": [permission.scope]} in operation["security"]
                    assert permission.scope in {*SCOPES, ALL}


def test_a_part_that_may_be_left_out_makes_two_paths() -> None:
    assert paths_of("/dashboards[/PATH]") == ["/dashboards", "/dashboards/{path}"]
    assert paths_of("/shared/{token}[.json]") == ["/shared/{token}", "/shared/{token}.json"]
    assert paths_of("/shared/{token}/~/{file_token}/FILE") == [
        "/shared/{token}/~/{file_token}/{file}"
    ]


def test_every_scope_is_explained() -> None:
    text = describe(ROUTES)["info"]["description"]
    for scope, meaning in SCOPES.items():
        assert f"`{scope}`: {meaning}" in text
