"""Who is let in with which of Keystone's tokens, where guests are real: ended and foreign ones."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session

from tests.openstack import cloud
from tests.openstack.deployment import Deployment, until
from tests.openstack.osbox import accounts, keystone, place, service, shared
from tests.openstack.osbox.accounts import ALICE, BOB

PORT = 5001
TOKEN_SECONDS = 15


@pytest.fixture(scope="module")
def brief(on_the_box: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A second Keystone with the users and keys of the box's, but whose tokens end soon."""
    if cloud.IS_NAMED:
        pytest.skip("the keys of a named cloud's Keystone are not here")
    text = shared.settings(keystone.SETTINGS).read_text()
    settings = tmp_path_factory.mktemp("keystone") / "keystone.conf"
    usual, soon = (f"expiration = {seconds}" for seconds in (keystone.TOKEN_SECONDS, TOKEN_SECONDS))
    assert usual in text
    settings.write_text(text.replace(usual, soon))
    command = service.wsgi("brief", PORT, keystone.PROGRAM, processes=1, threads=2)
    with (
        Path(settings.parent, "log").open("wb") as log,
        subprocess.Popen(
            command,
            env=place.environment() | {keystone.VARIABLE: str(settings)},
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            until(_answers)
            yield f"http://127.0.0.1:{PORT}/v3"
        finally:
            process.terminate()


def _answers() -> bool:
    try:
        return service.answers(PORT, "/v3")
    except OSError:
        return False


def test_a_token_is_good_until_it_ends(deployment: Deployment, brief: str) -> None:
    login = Password(
        auth_url=brief,
        username=ALICE.name,
        password=ALICE.password,
        project_name=ALICE.project,
        user_domain_name=accounts.DOMAIN,
        project_domain_name=accounts.DOMAIN,
    )
    token = str(Session(auth=login).get_token())
    assert deployment.request("GET", "instances", token=token).status == 200
    until(lambda: deployment.request("GET", "instances", token=token).status != 200)
    assert deployment.request("GET", "instances", token=token).status == 401
    assert deployment.request("GET", "instances").status == 200


def test_a_token_for_another_project_is_refused(deployment: Deployment) -> None:
    foreign = str(deployment.session(BOB).get_token())
    assert deployment.request("GET", "instances", token=foreign).status == 403
    assert deployment.request("GET", "instances", token="nonsense").status == 401
