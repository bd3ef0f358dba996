"""The catalog's schema, step by step; run by `dbaas-manage db upgrade`."""
