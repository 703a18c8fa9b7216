"""SchemaVersion: the schema's version, by phases."""
