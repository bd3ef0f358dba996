"""The shared MySQL catalog: the truth about everything. SQLAlchemy stays in this room."""
