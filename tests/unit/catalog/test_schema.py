"""What the migrations make is what the code expects."""

from dbaas.catalog import schema
from tests.catalog_server import CatalogServer


def test_the_migrations_make_the_tables_that_the_code_expects(
    catalog_server: CatalogServer,
) -> None:
    with catalog_server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE migrated CHARACTER SET utf8mb4")
    url = catalog_server.url("migrated")
    assert schema.upgrade(url) == schema.current(url) == schema.newest()
    assert schema.differences(url) == []
