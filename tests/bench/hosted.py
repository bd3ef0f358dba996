"""The API's application for any WSGI server: what `tests.bench.wsgi_servers` has them serve.

The environment variable DBAAS_BENCH_CONF names the configuration.
"""

import os

from dbaas.api import app, service
from dbaas.api.offers import CloudOffers
from dbaas.catalog.unit import Catalog
from dbaas.cloud import drivers
from dbaas.common import config, logs
from dbaas.rpc import control

_conf = config.load(
    ["--config-file", os.environ["DBAAS_BENCH_CONF"]], service.MODULES, before=logs.register
)
logs.setup(_conf, "api")
application = app.make(
    _conf, Catalog(_conf), CloudOffers(drivers.load(_conf)), control.Waker(_conf)
)
