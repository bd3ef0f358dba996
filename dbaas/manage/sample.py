"""Writes the samples in `etc/dbaas/`: of the configuration, from every module's options, and of the
policy.

`python -m dbaas.manage.sample` writes them; with `--check` it only compares, and ends with 1 when
one is stale.
"""

import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from oslo_config import cfg
from oslo_config import types as kinds

from dbaas.api import policy
from dbaas.common import config

DIRECTORY = Path(__file__).parents[2] / "etc" / "dbaas"

_HEAD = """\
# Every option of dbaas, with its default. The options of the libraries are in their own manuals:
# oslo.log (use_json, debug, ...), oslo.messaging (transport_url, ...) and oslo.policy.
"""
_WIDTH = 98


def text(modules: Iterable[ModuleType]) -> str:
    """Return the sample file for the options that these modules declare."""
    groups: dict[str, dict[str, cfg.Opt]] = {"DEFAULT": {}}
    for module in modules:
        groups.setdefault(module.GROUP, {}).update({opt.name: opt for opt in module.OPTS})
    return _HEAD + "".join(
        _group(name, groups[name]) for name in sorted(groups, key=_default_first)
    )


def _default_first(name: str) -> tuple[bool, str]:
    return (name != "DEFAULT", name)


def _group(name: str, options: Mapping[str, cfg.Opt]) -> str:
    return f"\n[{name}]\n" + "".join(_option(options[option]) for option in sorted(options))


def _option(option: cfg.Opt) -> str:
    described = textwrap.wrap(f"{option.help or ''} ({_kind(option)})".strip(), _WIDTH)
    lines = [f"# {line}" for line in described]
    return "\n" + "\n".join([*lines, f"#{option.name} = {_default(option)}".rstrip()]) + "\n"


def _kind(option: cfg.Opt) -> str:
    """Return the type of its value and the range that it may have, in words."""
    kind = option.type
    words = [type(kind).__name__.lower()]
    if isinstance(kind, kinds.Number):
        words += [f"at least {kind.min}"] if kind.min is not None else []
        words += [f"at most {kind.max}"] if kind.max is not None else []
    if choices := getattr(kind, "choices", None):
        words.append("one of " + ", ".join(str(choice) for choice in choices))
    if option.required:
        words.append("required")
    return ", ".join(words)


def _default(option: cfg.Opt) -> str:
    """Return the default as it would stand in the file; one that a host decides has its own."""
    default = option.default if option.sample_default is None else option.sample_default
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, list | tuple):
        return ",".join(str(item) for item in default)
    return str(default)


def main(arguments: Sequence[str]) -> int:
    samples = {
        DIRECTORY / "dbaas.conf.sample": text(config.option_modules()),
        DIRECTORY / "policy.yaml.sample": policy.sample(),
    }
    stale = [path for path, fresh in samples.items() if not _holds(path, fresh)]
    if "--check" not in arguments:
        for path in stale:
            path.write_text(samples[path])
        return 0
    for path in stale:
        sys.stderr.write(f"{path.name} is stale: run python -m dbaas.manage.sample\n")
    return 1 if stale else 0


def _holds(path: Path, content: str) -> bool:
    return path.exists() and path.read_text() == content


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
