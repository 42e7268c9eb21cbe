"""Alembic's folder: how a database gets from one version to the next."""
