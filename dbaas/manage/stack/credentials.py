"""The secrets of one stack: made once, each kept in the one file that its reader needs."""

import json
import secrets
import uuid
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from dbaas.common import certificates
from dbaas.contract.secret import Secret
from dbaas.host import files
from dbaas.manage.stack.plan import Plan

PRIVATE = 0o600
BROKER_CERTIFICATE_DAYS = 825


@dataclass(frozen=True)
class User:
    """Somebody who may use the API; passwords are random, so bcrypt's cost can be low."""

    name: str
    password: Secret
    project_id: str
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Credentials:
    broker: Secret
    catalog: Secret
    users: tuple[User, ...]

    def user(self, name: str) -> User:
        return next(user for user in self.users if user.name == name)


BROKER_USER = "control"
CATALOG_USER = "dbaas"
ROLES = {"demo": ("member", "reader"), "admin": ("admin", "member", "reader")}


def ensure(plan: Plan) -> Credentials:
    """Return the stack's credentials; make what is missing, never replace what is there."""
    _ensure_master_key(plan)
    _ensure_authority(plan)
    credentials = _load(plan) or _create(plan)
    users_file = plan.directory / "users.conf"
    if not users_file.exists():
        files.write(users_file, _users_file(credentials), mode=PRIVATE)
    return credentials


def master_key_file(plan: Plan) -> Path:
    return plan.directory / "master.key"


def authority_files(plan: Plan) -> tuple[Path, Path]:
    """Return where the authority's certificate and its private key are."""
    return plan.directory / "ca.crt", plan.directory / "ca.key"


def authority(plan: Plan) -> certificates.Authority:
    certificate, key = authority_files(plan)
    return certificates.Authority(certificate.read_text(), Secret(key.read_text()))


def _ensure_master_key(plan: Plan) -> None:
    if not master_key_file(plan).exists():
        files.write(master_key_file(plan), secrets.token_hex(32) + "\n", mode=PRIVATE)


def _ensure_authority(plan: Plan) -> None:
    certificate, key = authority_files(plan)
    if not certificate.exists():  # it is written last: without it, the key is of no use yet
        made = certificates.create_authority(f"dbaas {plan.id}")
        files.write(key, made.key_pem.reveal(), mode=PRIVATE)
        files.write(certificate, made.cert_pem)


def _file(plan: Plan) -> Path:
    return plan.directory / "credentials.json"


def _load(plan: Plan) -> Credentials | None:
    try:
        known = json.loads(_file(plan).read_text())
    except FileNotFoundError:
        return None
    users = tuple(
        User(name, Secret(user["password"]), user["project_id"], ROLES[name])
        for name, user in known["users"].items()
    )
    return Credentials(Secret(known["broker"]), Secret(known["catalog"]), users)


def _create(plan: Plan) -> Credentials:
    made = Credentials(
        _password(),
        _password(),
        tuple(User(name, _password(), uuid.uuid4().hex, roles) for name, roles in ROLES.items()),
    )
    known = {
        "broker": made.broker.reveal(),
        "catalog": made.catalog.reveal(),
        "users": {
            user.name: {"password": user.password.reveal(), "project_id": user.project_id}
            for user in made.users
        },
    }
    files.write(_file(plan), json.dumps(known, indent=2) + "\n", mode=PRIVATE)
    return made


def _password() -> Secret:
    return Secret(secrets.token_hex(32))


def _users_file(credentials: Credentials) -> str:
    return "".join(
        f"{user.name}:{_hash(user.password)}:{user.project_id}:{','.join(user.roles)}\n"
        for user in credentials.users
    )


def _hash(password: Secret) -> str:
    return bcrypt.hashpw(password.reveal().encode(), bcrypt.gensalt(rounds=8)).decode()
