"""The operations and options of `app migrate`."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from faust.cli.base import argument, option

from app.commands import base
from app.errors import InputError


class Operation(StrEnum):
    """The operations of `app migrate`."""

    plan = "plan"
    print = "print"
    validate = "validate"
    status = "status"
    diff = "diff"
    check = "check"
    apply = "apply"
    health = "health"
    rollback = "rollback"
    retire = "retire"
    adopt = "adopt"
    import_ksql_migrations = "import-ksql-migrations"
    history = "history"
    create = "create"
    unlock = "unlock"


_GOES_WITH = {
    "--next": Operation.apply,
    "--until": Operation.apply,
    "--idempotent": Operation.apply,
    "--repair": Operation.apply,
    "--allow-destructive": Operation.apply,
    "--readers-moved": Operation.retire,
}


def check_options(operation: Operation, given: Collection[str], *, force_new_name: bool) -> None:
    """Raises `InputError` for an option that this operation would not heed; `given` are the options of the command line."""
    for option_name, wanted in _GOES_WITH.items():
        if option_name in given and operation is not wanted:
            raise InputError(f"migrate {operation} {option_name}: it goes with `migrate {wanted}` only")
        if option_name in given and force_new_name:
            raise InputError(f"migrate {option_name} --force-new-name: a swap is done whole; leave {option_name} out")


OPTIONS = (
    argument("operation", required=False, metavar="[" + "|".join(Operation) + "]"),
    argument("name", required=False, metavar="[NAME]"),
    option(
        "--plan",
        "path",
        default="",
        show_default=False,
        help="A directory, a .ksql, .json, .yaml or .py file, bar1m, or history.",
    ),
    option("--define", "defines", multiple=True, metavar="NAME=VALUE", help="A variable of the plan, before all others."),
    option("--next", "only_next", is_flag=True, default=False, show_default=False, help="With `apply`: only the next one."),
    option("--until", default="", show_default=False, metavar="ID", help="With `apply`: no statement after this one."),
    option("--server", default="", show_default=False, help="ksqlDB's address; replaces the setting ksqldb_url."),
    option("--user", default="", show_default=False, help="ksqlDB's user; replaces ksqldb_user. Needs --password-file."),
    option("--password-file", default="", show_default=False, help="A file with that user's password in its first line."),
    option("--registry", default="", show_default=False, help="Schema Registry's address; replaces schema_registry_url."),
    option("--apply", "do_apply", is_flag=True, default=False, show_default=False, help="The same as `apply`."),
    option("--print", "do_print", is_flag=True, default=False, show_default=False, help="The same as `print`."),
    option("--idempotent", is_flag=True, default=False, show_default=False, help="Send IF NOT EXISTS."),
    option(
        "--force-new-name",
        is_flag=True,
        default=False,
        show_default=False,
        help="With `apply`: build what cannot be altered under its next name (_V2), then swap.",
    ),
    option(
        "--repair",
        is_flag=True,
        default=False,
        show_default=False,
        help="With `apply`: create again what is gone from the server.",
    ),
    option(
        "--allow-destructive",
        is_flag=True,
        default=False,
        show_default=False,
        help="With `apply`: execute DROP and TERMINATE.",
    ),
    option(
        "--readers-moved",
        is_flag=True,
        default=False,
        show_default=False,
        help="With `retire`: nobody asks the old tables by pull queries any more.",
    ),
    base.json_option,
)
