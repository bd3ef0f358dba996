"""A MariaDB that only listens."""

from collections.abc import Iterator
from typing import Any

import pymysql

from dbaas.engines.mariadb import admin


class Server:
    """Remembers the statements, quotes as the driver does and knows two character sets."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self._answer: list[tuple[str, ...]] = []

    def session(self) -> admin.Session:
        return admin.Session(self)  # type: ignore[arg-type] # the part of a connection that it uses

    def escape(self, value: str) -> str:
        return "'" + pymysql.converters.escape_string(value) + "'"

    def cursor(self) -> "Server":
        return self

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *args: object) -> None: ...

    def execute(self, statement: str, values: tuple[Any, ...] | None) -> None:
        self._answer = []
        if not statement.startswith("SELECT"):
            assert values is None
            self.statements.append(statement)
        elif "applicability" in statement:
            self._answer = [
                ("utf8mb3", "utf8mb3_general_ci", "utf8mb3_general_ci"),
                ("utf8mb4", "uca1400_ai_ci", "utf8mb4_uca1400_ai_ci"),
            ]

    def fetchall(self) -> Iterator[tuple[str, ...]]:
        return iter(self._answer)
