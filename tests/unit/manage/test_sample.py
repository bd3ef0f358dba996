"""The sample of the configuration tells what an operator may set, and the defaults."""

import types

from oslo_config import cfg

from dbaas.manage import sample


def module(group: str, *options: cfg.Opt) -> types.ModuleType:
    made = types.ModuleType("options")
    vars(made).update(GROUP=group, OPTS=list(options))
    return made


def test_an_option_is_shown_with_its_help_range_and_default() -> None:
    text = sample.text([module("beat", cfg.FloatOpt("every", default=2.5, min=1, help="Seconds."))])
    assert "[beat]\n\n# Seconds. (float, at least 1)\n#every = 2.5\n" in text


def test_choices_and_what_must_be_set_are_told() -> None:
    chosen = cfg.StrOpt("how", choices=("this", "that"), required=True, help="How.")
    assert "(string, one of this, that, required)\n#how =\n" in sample.text([module("x", chosen)])


def test_lists_and_switches_are_written_as_they_are_read() -> None:
    text = sample.text(
        [module("x", cfg.ListOpt("some", default=["a", "b"]), cfg.BoolOpt("on", default=True))]
    )
    assert "#some = a,b\n" in text
    assert "#on = true\n" in text


def test_a_default_that_depends_on_the_host_is_not_written() -> None:
    option = cfg.StrOpt("place", default="/home/somebody", sample_default="/var/lib/dbaas")
    assert "#place = /var/lib/dbaas\n" in sample.text([module("x", option)])


def test_groups_and_options_are_in_order_whatever_the_order_of_modules() -> None:
    one, other = module("b", cfg.StrOpt("z")), module("b", cfg.StrOpt("a"))
    first = module("a", cfg.StrOpt("only"))
    assert sample.text([one, first, other]) == sample.text([other, one, first])
