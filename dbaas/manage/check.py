"""`dbaas-manage check`: does this deployment have all that it needs?"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer
from oslo_config import cfg
from rich.markup import escape
from rich.table import Column, Table

from dbaas.catalog import datastores, schema
from dbaas.catalog.records import DatastoreVersion
from dbaas.catalog.unit import Catalog
from dbaas.cloud import drivers
from dbaas.cloud.base import Cloud
from dbaas.common import certificates, sealing
from dbaas.common.probes import Probe
from dbaas.contract import errors
from dbaas.contract.secret import Secret
from dbaas.manage.deployment import OUT, deployment
from dbaas.rpc import broker, control, guests
from dbaas.strategies.grants import vaults


@dataclass(frozen=True)
class Finding:
    """What was found: `text` says it, or what is wrong; `remedy` what to do about it then."""

    what: str
    well: bool
    text: str
    remedy: str


def check(context: typer.Context) -> None:
    """Look at everything that this deployment needs; exit status 1 when something is missing."""
    with deployment(context) as ours:
        findings = list(look(ours.conf, ours.catalog))
    table = Table("", "what", Column("found", overflow="fold"))
    for finding in findings:
        found = finding.text if finding.well else f"{finding.text}\n→ {finding.remedy}"
        # Groups of options are written like markup.
        table.add_row("ok" if finding.well else "MISSING", escape(finding.what), escape(found))
    OUT.print(table)
    missing = sum(not finding.well for finding in findings)
    OUT.print(f"{len(findings)} things looked at, {missing} missing")
    sys.exit(1 if missing else 0)


def look(conf: cfg.ConfigOpts, catalog: Catalog) -> Iterator[Finding]:
    """Look at all that is needed, in the order in which it is set up; each thing once.

    What is offered is looked up in the catalog, and its images in the cloud: only where these are.
    """
    yield from map(_carry_out, _of_secrets(conf))
    tables = _carry_out(
        Probe(
            "catalog",
            lambda: _catalog(conf),
            "Check [catalog] connection, and run `dbaas-manage db upgrade`.",
        )
    )
    yield tables
    yield from map(_carry_out, _of_buses(conf))
    try:
        cloud = drivers.load(conf)
    except errors.Error as error:
        remedy = "Check [DEFAULT] cloud and the group of its name."
        yield Finding("cloud", False, error.text, remedy)
        return
    yield from map(_carry_out, cloud.probes())
    yield from _of_storages(conf)
    if tables.well:
        yield from map(_carry_out, _of_datastores(cloud, catalog))


def _carry_out(probe: Probe) -> Finding:
    try:
        return Finding(probe.what, True, probe.look(), probe.remedy)
    except errors.Error as error:
        return Finding(probe.what, False, error.text, probe.remedy)
    except (OSError, cfg.Error) as error:
        return Finding(probe.what, False, str(error), probe.remedy)


def _of_secrets(conf: cfg.ConfigOpts) -> Iterator[Probe]:
    yield Probe(
        "master key",
        lambda: _named(sealing.from_conf(conf), "readable by its owner only"),
        "Make one with `openssl rand -hex 32`, mode 0600, and name it in [secrets] "
        "master_key_file. Keep a copy: without it the catalog's secrets are lost.",
    )
    yield Probe(
        "certificate authority",
        lambda: _named(certificates.from_conf(conf), "signs the instances' certificates"),
        "Name the authority's certificate and key in [secrets] authority_certificate_file and "
        "authority_key_file.",
    )


def _of_buses(conf: cfg.ConfigOpts) -> Iterator[Probe]:
    yield Probe(
        "control bus",
        lambda: control.probe(conf),
        "Check transport_url, and make its virtual host and user in RabbitMQ.",
    )
    yield Probe(
        "guests' bus",
        lambda: _guests_bus(conf),
        "Check [guest_bus] url: make its virtual host, and give the user every right on it.",
    )
    yield Probe(
        "management API of the broker",
        lambda: _management(conf),
        "Enable rabbitmq_management, tag the user 'administrator', and check [guest_bus] "
        "management_url.",
    )
    yield Probe(
        "the broker as guests see it",
        lambda: _entrance(conf),
        "Give RabbitMQ a TLS listener at [guest_bus] guest_host and guest_port with a certificate "
        "for that name, signed by the authority in ca_file.",
    )


def _of_storages(conf: cfg.ConfigOpts) -> Iterator[Finding]:
    try:
        storages = vaults.load(conf, sealing.from_conf(conf))
    except errors.Error as error:
        remedy = "Check [backups] storage and more_storages, and the group of each."
        yield Finding("backups", False, error.text, remedy)
        return
    yield from (_carry_out(vault.probe()) for vault in storages.values())


def _of_datastores(cloud: Cloud, catalog: Catalog) -> Iterator[Probe]:
    offered = _versions(catalog)
    yield Probe(
        "datastores",
        lambda: _some(offered),
        "Offer one: `dbaas-manage datastore register mariadb 11.8`.",
    )
    for version in offered:
        yield _image(cloud, version)


def _named(_it: object, text: str) -> str:
    return text


def _catalog(conf: cfg.ConfigOpts) -> str:
    current, newest = schema.current(conf.catalog.connection), schema.newest()
    if current != newest:
        raise errors.Failed(f"its schema is {current or 'empty'}, not {newest}")
    return f"schema {newest}"


def _guests_bus(conf: cfg.ConfigOpts) -> str:
    where = guests.address(conf[broker.GROUP].url or "")
    guests.probe(where)
    return f"virtual host {where.vhost}"


def _management(conf: cfg.ConfigOpts) -> str:
    ours = broker.from_conf(conf)
    try:
        return f"{len(ours.objects())} objects of guests"
    finally:
        ours.close()


def _entrance(conf: cfg.ConfigOpts) -> str:
    """See that a guest would be heard: who it is not is refused, and by whom is proved by TLS."""
    options = conf[broker.GROUP]
    authority = Path(options.ca_file or "").read_text()
    where = guests.Address(
        options.guest_host or "",
        options.guest_port,
        guests.address(options.url or "").vhost,
        "nobody",
        Secret("nothing"),
        authority,
    )
    try:
        guests.probe(where)
    except errors.Forbidden:
        return f"{where.host}:{where.port}, by TLS"
    raise errors.Failed("it lets in whoever comes")


def _versions(catalog: Catalog) -> Sequence[DatastoreVersion]:
    stores = catalog.read(datastores.everything)
    return [version for store in stores for version in store.versions if version.active]


def _some(versions: Sequence[DatastoreVersion]) -> str:
    if not versions:
        raise errors.NotFound("none is offered")
    return f"{len(versions)} versions are offered"


def _image(cloud: Cloud, version: DatastoreVersion) -> Probe:
    wanted = version.image_id or ", ".join(version.image_tags) or "the provider's own"
    return Probe(
        f"image of {version.manager} {version.name}",
        lambda: cloud.compute.find_image(version.image_id, version.image_tags),
        f"Upload it: `dbaas-manage image build` and `image upload`. Wanted: {wanted}.",
    )
