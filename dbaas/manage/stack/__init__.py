"""Everything of dbaas on one host, in one directory, under one supervisor."""
