"""Everything that imports dagster: assets, checks, resources, refresh."""
