"""The database: engine, tables, migrations. SQLite by default, PostgreSQL by URL; one code path for both."""
