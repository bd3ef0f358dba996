"""Strings that break what was not quoted, escaped, measured or encoded with care."""

HOSTILE = (
    # quotes, and what ends or escapes them
    *("'", '"', "`", "\\", '""', "``", "\\\\", "\\'", "\\`", "a'b", 'a"b', "a`b"),
    *("a\\", "a'--"),
    *("' OR '1'='1", "'; DROP DATABASE shop; --", "`; DROP DATABASE `shop", "\\x27"),
    *("\\0", "a'b\"c`d"),
    # comments and separators
    *("-- a", "--", "#", "# a", "/*a", "*/", "/*!50000 a*/", ";", "a;b", "a,b", "a.b"),
    *("..", "(a)"),
    # wildcards, of SQL and of Python
    *("%", "_", "%%", "__", "a%b", "a_b", "\\_", "\\%", "a\\_b", "%s", "%(a)s", "{a}"),
    *("%d%n", "a_b%c"),
    # accounts, hosts, and words that mean something
    *("a@b", "@", "@@version", "a@%", "SELECT", "NULL", "PUBLIC", "NONE"),
    *("current_user", "DEFAULT", "user", "localhost", "0", "-1", "1e9", "true"),
    # blanks and controls
    *(" a", "a b", "\ta", "a\nb", "a\r\nb", "a\x01", "a\x1a", "a\x7f", "\u00a0"),
    *("a\u200b", "\ufeffa"),
    # beyond ASCII
    *("\u00e4", "\u00e4\u4e2d", "\u4e2d" * 51, "\u00e4" * 64, "e\u0301", "\u00e9", "\u0130"),
    *("\u00df", "\uffff", "\u202ea"),
    # paths and shells
    *("a/b", "../../etc/passwd", "$(id)", "`id`", "$HOME", "a&b", "a|b", "~", "*", "?"),
    *("<a>", "C:\\"),
    # the shortest, and the longest
    *("a", "A", "x" * 63, "x" * 64),
)  # fmt: skip
"""Each can be the name of a database and of an account, and a password."""

PASSWORDS = (
    "\U0001f418", "a\U0001f418'b", "x" * 255, "\U0001f418" * 255, "a ", " ", "\u4e2d" * 255
)  # fmt: skip
"""Passwords that could not be names."""

NO_NAME = (
    "", "\0", "a\0b", "a\0", "\U0001f418", "a\U0001f418", "\ud800", "a\udfff", "a ", " ",
    "\u4e2d" * 129, "x" * 129, "x" * 100_000, "a\U00010000",
)  # fmt: skip
"""Neither a database nor an account can be called so."""

NO_DIRECTORY = ("\u4e2d" * 52, "-" * 52, "x" + "-" * 63)
"""Names of databases that are too long once they are encoded for a file system."""

NO_DATABASE = (
    "x" * 65, "mysql", "MYSQL", "sys", "information_schema", "Performance_Schema",
    "#mysql50#a",
)  # fmt: skip
NO_USER = ("''", "'a'", "'a'@'%'", "root", "ROOT", "os_admin", "OS_admin", "mariadb.sys")
NO_PASSWORD = ("", "\0", "a\0b", "\ud800", "x" * 256)
NO_HOST = (
    "", " ", "a b", "x'y", "x`y", "a;b", "a\\b", "\0", "h" * 256, "\u00e4",
    "10.0.0.0/33", "10.0.0.1/24",
    "0.0.0.0/0", "fd00::/64", "10.0.0.0/255.255.255.0", "a@b", "fd00::0:1", "A.example", "(a)",
)  # fmt: skip
