"""A contents manager without files: proof that nothing of ours depends on a disk."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from jupyter_server.services.contents.checkpoints import Checkpoints
from jupyter_server.services.contents.manager import ContentsManager
from tornado.web import HTTPError


class NoCheckpoints(Checkpoints):
    def list_checkpoints(self, path: str) -> list[Any]:
        return []


class MemoryContents(ContentsManager):
    """Keeps models by path. Refuses what a strict manager may: a missing parent, a taken name, a filled folder."""

    checkpoints_class = NoCheckpoints

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.models: dict[str, dict[str, Any]] = {"": {"type": "directory"}}

    def dir_exists(self, path: str) -> bool:
        return self.models.get(path.strip("/"), {}).get("type") == "directory"

    def file_exists(self, path: str) -> bool:
        return self.models.get(path.strip("/"), {"type": "directory"})["type"] != "directory"

    def is_hidden(self, path: str) -> bool:
        return False

    def get(
        self,
        path: str,
        content: bool = True,
        type: str | None = None,  # noqa: A002
        format: str | None = None,  # noqa: A002
        **_: Any,
    ) -> dict[str, Any]:
        path = path.strip("/")
        if path not in self.models:
            raise HTTPError(404, f"/secret/place/{path}")
        model = {"format": None, "content": None, "mimetype": None, "size": None, "writable": True}
        model |= self.models[path]
        if type not in (None, model["type"]):
            raise HTTPError(400, "wrong type")
        model |= {"path": path, "name": path.rpartition("/")[2]}
        if content and model["type"] == "directory":
            model["content"] = [self.get(child, content=False) for child in self._children(path)]
        if not content:
            model |= {"content": None, "format": None}
        return model

    def save(self, model: dict[str, Any], path: str = "") -> dict[str, Any]:
        path = path.strip("/")
        if not self.dir_exists(path.rpartition("/")[0]):
            raise HTTPError(400, "no such folder")
        kept = {key: model.get(key) for key in ("type", "content", "format")}
        now = datetime.now(UTC)
        self.models[path] = {**kept, "created": now, "last_modified": now}
        return self.get(path, content=False)

    def rename_file(self, old_path: str, new_path: str) -> None:
        if old_path not in self.models:
            raise HTTPError(404, old_path)
        if new_path in self.models:
            raise HTTPError(409, new_path)
        for path in [p for p in self.models if p == old_path or p.startswith(f"{old_path}/")]:
            self.models[new_path + path.removeprefix(old_path)] = self.models.pop(path)

    def delete_file(self, path: str) -> None:
        if path not in self.models:
            raise HTTPError(404, path)
        if self._children(path):
            raise HTTPError(400, "not empty")
        del self.models[path]

    def _children(self, folder: str) -> list[str]:
        prefix = f"{folder}/" if folder else ""
        return [
            path
            for path in self.models
            if path and path.startswith(prefix) and "/" not in path.removeprefix(prefix)
        ]
