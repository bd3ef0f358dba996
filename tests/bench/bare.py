"""What the API is compared with: falcon, SQLAlchemy Core and PyMySQL, and nothing around them.

python -m tests.bench.bare CATALOG PORT THREADS

It answers the same bytes from the same tables, in as few statements as that takes: no identity, no
policy, no limits, no checks of a body, no log, no figures. For an accepted request it writes the
same rows in one transaction.
"""

import json
import sys
import uuid
from datetime import datetime
from typing import Any

import falcon
import sqlalchemy
from gunicorn.app.base import BaseApplication
from sqlalchemy import bindparam, func, select, text

from dbaas.catalog import tables

_i, _s, _v = tables.instances, tables.datastores, tables.datastore_versions
_h = tables.guest_health
_replicas = _i.alias()
_SILENCE = text("TIMESTAMPDIFF(MICROSECOND, guest_health.heard_at, NOW(6)) / 1e6")
_LINE = (
    _i.c.id,
    _i.c.name,
    _i.c.status,
    _s.c.name,
    _v.c.name,
    _i.c.flavor_id,
    _i.c.volume_gib,
    _i.c.region,
    _i.c.addresses,
    _i.c.created_at,
    _h.c.service,
    _SILENCE,
    select(func.group_concat(_replicas.c.id))
    .where(_replicas.c.replica_of == _i.c.id)
    .scalar_subquery(),
)
_MORE = (
    _v.c.version,
    _i.c.updated_at,
    _h.c.volume_total,
    _h.c.volume_used,
    _h.c.heard_at,
)
_JOINED = (
    _i.join(_v, _v.c.id == _i.c.datastore_version_id)
    .join(_s)
    .outerjoin(_h, _h.c.instance_id == _i.c.id)
)
_PAGE = (
    select(*_LINE)
    .select_from(_JOINED)
    .prefix_with("STRAIGHT_JOIN")
    .where(_i.c.project_id == bindparam("project"), _i.c.alive == text("1"))
    .order_by(_i.c.id)
    .limit(21)
)
_SHOW = select(*_LINE, *_MORE).select_from(_JOINED).where(_i.c.id == bindparam("id"))
_WORDS = {"ACTIVE": "ACTIVE", "BUILDING": "BUILD", "DELETING": "SHUTDOWN"}


def _links(host: str, project: str, kind: str, id_: str) -> list[dict[str, str]]:
    return [
        {"rel": "self", "href": f"https://{host}/v1.0/{project}/{kind}/{id_}"},
        {"rel": "bookmark", "href": f"https://{host}/{kind}/{id_}"},
    ]


def _line(row: Any, host: str, project: str) -> dict[str, Any]:
    addresses = json.loads(row[8])
    view = {
        "id": row[0],
        "name": row[1],
        "status": _WORDS[row[2]],
        "operating_status": "HEALTHY" if row[2] == "ACTIVE" and row[11] < 1e9 else "",
        "links": _links(host, project, "instances", row[0]),
        "flavor": {"id": row[5], "links": _links(host, project, "flavors", row[5])},
        "datastore": {"type": row[3], "version": row[4]},
        "region": row[7],
        "access": {"is_public": False} if addresses else {},
        "volume": {"size": row[6]},
    }
    if addresses:
        view["ip"] = [item["address"] for item in addresses]
        view["addresses"] = addresses
    return view


def _whole(row: Any, host: str, project: str) -> dict[str, Any]:
    view = _line(row, host, project)
    version, updated, total, used, heard = row[len(_LINE) :]
    view["datastore"]["version_number"] = version
    view["created"] = _moment(row[9])
    view["updated"] = _moment(updated)
    view["service_status_updated"] = _moment(heard or row[9])
    if total:
        view["volume"]["used"] = round(used / 1024.0**3, 2)
        view["volume"]["used_percent"] = round(100 * used / total, 1)
    return view


def _moment(time: datetime) -> str:
    return time.isoformat(timespec="seconds")


class _Instances:
    def __init__(self, url: str, threads: int) -> None:
        self._engine = sqlalchemy.create_engine(
            url, isolation_level="READ COMMITTED", pool_size=threads, pool_reset_on_return=None
        )
        self._reader = sqlalchemy.create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_size=threads,
            pool_reset_on_return=None,
            skip_autocommit_rollback=True,
        )

    def on_get(self, req: falcon.Request, resp: falcon.Response, project: str) -> None:
        with self._reader.connect() as connection:
            rows = connection.execute(_PAGE, {"project": project}).all()
        host = req.get_header("Host") or ""
        body: dict[str, Any] = {}
        if len(rows) > 20:
            href = f"https://{host}{req.path}?limit=20&marker={rows[19][0]}"
            body["links"] = [{"rel": "next", "href": href}]
        shown = sorted(rows[:20], key=lambda row: row[9], reverse=True)
        body["instances"] = [_line(row, host, project) for row in shown]
        resp.data = json.dumps(body).encode()

    def on_get_one(
        self, req: falcon.Request, resp: falcon.Response, project: str, id_: str
    ) -> None:
        with self._reader.connect() as connection:
            row = connection.execute(_SHOW, {"id": id_}).one()
        host = req.get_header("Host") or ""
        resp.data = json.dumps({"instance": _whole(row, host, project)}).encode()

    def on_post(self, req: falcon.Request, resp: falcon.Response, project: str) -> None:
        asked = json.loads(req.bounded_stream.read())["instance"]
        id_, operation = str(uuid.uuid4()), str(uuid.uuid4())
        values = {"id": id_, "operation": operation, "project": project, "name": asked["name"]}
        values |= {"size": asked["volume"]["size"], "request": json.dumps(asked)}
        with self._engine.begin() as connection:
            for statement in _CREATE:
                connection.execute(statement, values)
            row = connection.execute(_SHOW, {"id": id_}).one()
        view = _whole(row, req.get_header("Host") or "", project)
        resp.data = json.dumps({"instance": view}).encode()

    def on_delete_one(
        self, _req: falcon.Request, resp: falcon.Response, project: str, id_: str
    ) -> None:
        values = {"id": id_, "operation": str(uuid.uuid4()), "project": project, "request": "{}"}
        with self._engine.begin() as connection:
            for statement in _DELETE:
                connection.execute(statement, values)
        resp.status = falcon.HTTP_202


_LOCK = text("INSERT INTO instance_locks (instance_id, operation_id) VALUES (:id, :operation)")
_OPERATION = (
    "INSERT INTO operations (id, kind, project_id, user_id, request_id, instance_id, state,"
    " request, run_at) VALUES (:operation, '{}', :project, 'bench', 'bench', :id, 'runnable',"
    " :request, NOW(6))"
)
_CREATE = (
    text("SELECT id, name, version, manager FROM datastore_versions"),
    text(
        "INSERT INTO quota_usages (project_id, resource, in_use) VALUES (:project, 'instances', 1),"
        " (:project, 'ram', 512), (:project, 'volumes', :size)"
        " ON DUPLICATE KEY UPDATE in_use = in_use + VALUES(in_use)"
    ),
    text("SELECT resource, in_use FROM quota_usages WHERE project_id = :project"),
    text(
        "INSERT INTO instances (id, project_id, user_id, name, status, datastore_version_id,"
        " flavor_id, flavor_ram_mib, ram_charged_mib, volume_gib, volume_charged_gib, region,"
        " access, addresses) SELECT :id, :project, 'bench', :name, 'BUILDING', id, '1', 512, 512,"
        " :size, :size, 'RegionOne', '{}', '[]' FROM datastore_versions"
    ),
    _LOCK,
    text(_OPERATION.format("create_instance")),
)
_DELETE = (
    text("SELECT status FROM instances WHERE id = :id AND project_id = :project FOR UPDATE"),
    text("UPDATE instances SET status = 'DELETING', updated_at = NOW(6) WHERE id = :id"),
    _LOCK,
    text(_OPERATION.format("delete_instance")),
)


class _Healthcheck:
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.data = b"{}"


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, app: "falcon.App[falcon.Request, falcon.Response]", port: str) -> None:
        self._app, self._port = app, port
        super().__init__()

    def load_config(self) -> None:
        self.cfg.set("bind", f"127.0.0.1:{self._port}")
        self.cfg.set("worker_class", "gthread")
        self.cfg.set("threads", int(sys.argv[3]))
        self.cfg.set("keepalive", 75)
        self.cfg.set("control_socket_disable", True)

    def load(self) -> Any:
        return self._app


def main() -> None:
    url, port, threads = sys.argv[1:]
    resource = _Instances(url, int(threads))
    app = falcon.App()
    app.add_route("/v1.0/{project}/instances", resource)
    app.add_route("/v1.0/{project}/instances/{id_}", resource, suffix="one")
    app.add_route("/healthcheck", _Healthcheck())
    _Server(app, port).run()


if __name__ == "__main__":
    main()
