"""MariaDB and MySQL: their own dump program, in one transaction."""
