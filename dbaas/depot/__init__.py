"""Serves the directory of backups to guests, by signed URLs; it knows no catalog and no bus."""
