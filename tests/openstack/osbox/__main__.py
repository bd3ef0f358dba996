"""`python -m tests.openstack.osbox`."""

from tests.openstack.osbox.commands import main

main()
