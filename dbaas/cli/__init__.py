"""The tenant's command line: everything over REST, with progress."""
