"""Migrations on the pocket broker and a stand-in ksqlDB."""
