"""`python -m dbaas.manage.stack` is `dbaas-manage stack`."""

from dbaas.manage.stack.commands import app

app()
