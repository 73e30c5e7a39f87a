"""Spark sessions of a cluster's kernels. Pure.

The session is made before the first cell, by pyspark in the kernel's own environment, as `spark` and `sc`: the names that
pyspark's shell gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PREAMBLE = """\
from pyspark.sql import SparkSession as _Session
_builder = _Session.builder.appName({name})
for _key, _value in {settings}.items():
    _builder = _builder.config(_key, _value)
spark = _builder.getOrCreate()
sc = spark.sparkContext
import json as _json
_preamble = _json.dumps({{"application": sc.applicationId, "url": sc.uiWebUrl, "master": sc.master}})
del _Session, _builder, _json
"""


def preamble(settings: Mapping[str, str], name: str) -> str:
    """Python code that makes the session, and leaves `application`, `url` and `master` as JSON in `_preamble`."""
    return _PREAMBLE.format(name=ascii(name), settings=ascii(dict(settings)))


def job(found: Mapping[str, Any]) -> dict[str, Any]:
    """What `jobs` of the API tells of a session: `url`, `job_stats`, `job_id`."""
    return {
        "url": str(found.get("url") or ""),
        "job_stats": {"master": str(found.get("master") or "")},
        "job_id": str(found.get("application") or ""),
    }
