"""PostgreSQL: pg_dump's custom format, in a snapshot whose rows are counted too."""
