-- Beside Dagster's database: that of the item index.
CREATE DATABASE items;
\connect items
CREATE EXTENSION IF NOT EXISTS vector;
