"""Database as a Service: a control plane compatible with OpenStack Trove."""
