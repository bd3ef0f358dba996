"""How many requests a project may make in a minute, counted by all processes of a host together.

A bucket for each project and kind of request holds as many requests as the limit says, and fills
up evenly within a minute. Buckets lie in shared memory of a fixed size: when too many projects are
active at once, the one that was quiet for longest is forgotten, to its advantage.
"""

import json
import math
import time
from dataclasses import dataclass
from hashlib import blake2b
from http import HTTPStatus
from pathlib import Path

import falcon
from oslo_config import cfg

from dbaas.common.shared import Numbers, Shared
from dbaas.contract import errors

MINUTE = 60.0
SETS = 4096
WAYS = 4
"""A bucket has its place in one set, and is one of a few there."""

_FIELDS = 3
"""Of a bucket: its key, what is in it, and when that was so (seconds since the host's start)."""


@dataclass(frozen=True)
class Rule:
    """As `GET /limits` shows it; `option` is where its limit comes from."""

    verb: str
    uri: str
    regex: str
    option: str


RULES = (
    Rule("POST", "*", ".*", "http_post_rate"),
    Rule("PUT", "*", ".*", "http_put_rate"),
    Rule("DELETE", "*", ".*", "http_delete_rate"),
    Rule("GET", "*", ".*", "http_get_rate"),
    Rule("POST", "*/mgmt", "^/mgmt", "http_mgmt_post_rate"),
)


@dataclass(frozen=True)
class Left:
    """What a project may still do: so many requests now, or the next one in `wait` seconds."""

    limit: int
    remaining: int
    wait: float


class Rates:
    """The limits, and what is left of them."""

    def __init__(self, options: cfg.ConfigOpts.GroupAttr) -> None:
        """Raise `Invalid` when the file to count in cannot be used."""
        path = Path(options.rates_file) if options.rates_file else None
        self._limits = {rule: int(options[rule.option]) for rule in RULES}
        try:
            self._shared = Shared(SETS * WAYS * _FIELDS, path)
        except OSError as error:
            raise errors.Invalid(f"[api] rates_file {path}: {error.strerror}") from error

    def take(self, project_id: str, rule: Rule) -> float:
        """Count one request; return 0, or the seconds until there may be one, and count none."""
        key, limit, now = _key(project_id, rule), self._limits[rule], time.monotonic()
        with self._shared.locked() as numbers:
            at = _place(numbers, key)
            level = _level(numbers, at, key, limit, now)
            if level < 1.0:
                return (1.0 - level) * MINUTE / limit
            # In this order: who dies in between has granted a request too many.
            numbers[at] = key
            numbers[at + 2] = now
            numbers[at + 1] = level - 1.0
        return 0.0

    def left(self, project_id: str, rule: Rule) -> Left:
        key, limit, now = _key(project_id, rule), self._limits[rule], time.monotonic()
        with self._shared.locked() as numbers:
            level = _level(numbers, _place(numbers, key), key, limit, now)
        return Left(limit, int(level), max(0.0, 1.0 - level) * MINUTE / limit)

    def refusal(self, project_id: str, method: str, path: str) -> tuple[Rule, float] | None:
        """Count a request by every rule that it falls under; return one that refuses it, if any.

        `path` is what follows the project's id. PATCH is not limited.
        """
        for rule in RULES:
            if rule.verb == method and (rule.uri == "*" or path.startswith("/mgmt/")):
                wait = self.take(project_id, rule)
                if wait:
                    return rule, wait
        return None

    def limit(self, rule: Rule) -> int:
        return self._limits[rule]


def _key(project_id: str, rule: Rule) -> float:
    digest = blake2b(f"{project_id} {rule.option}".encode(), digest_size=6).digest()
    return float(1 + int.from_bytes(digest))  # no more than a float can hold exactly; 0 is nobody


def _place(numbers: Numbers, key: float) -> int:
    """Return where the bucket is, or may be made."""
    first = int(key) % SETS * WAYS * _FIELDS
    places = range(first, first + WAYS * _FIELDS, _FIELDS)
    for at in places:
        if numbers[at] == key:
            return at
    return min(places, key=lambda at: numbers[at + 2])


def _level(numbers: Numbers, at: int, key: float, limit: int, now: float) -> float:
    """Return what is in the bucket now; a file may be older than the host's start."""
    if numbers[at] != key or now < numbers[at + 2]:
        return float(limit)
    return min(limit, numbers[at + 1] + (now - numbers[at + 2]) * limit / MINUTE)


class RateLimits:
    """Refuses what is too much; after it is known who asks."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        who = req.context.who
        if who is None or not req.path.startswith("/v1.0/"):
            return
        path = req.path.removeprefix(f"/v1.0/{who.project_id}")
        refused = self._rates.refusal(who.project_id, req.method, path)
        if refused is not None:
            _refuse(resp, self._rates.limit(refused[0]), *refused)


def _refuse(resp: falcon.Response, limit: int, rule: Rule, wait: float) -> None:
    seconds = str(math.ceil(wait))
    fault = {
        "code": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "message": "This request was rate-limited.",
        "details": f"Only {limit} {rule.verb} request(s) can be made to {rule.uri} every minute.",
        "retryAfter": seconds,
    }
    resp.status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    resp.set_header("Retry-After", seconds)
    resp.data = json.dumps({"overLimit": fault}).encode()
    resp.content_type = falcon.MEDIA_JSON
    resp.complete = True  # nothing else answers
