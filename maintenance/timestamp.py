"""The database's clock as an expression, right whatever time zone its server is set to."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import functions
from django.db.models.sql.compiler import SQLCompiler


class Now(functions.Now):
    """Django's Now, in UTC on MariaDB and MySQL too.

    There Django's is CURRENT_TIMESTAMP, which is local to the server, and takes it for UTC: hours off, and an hour
    back each autumn, on a server whose zone is another one. Source: django.db.models.functions.Now.as_mysql.
    """

    def as_mysql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        """Return the expression's SQL and parameters."""
        if connection.timezone_name != "UTC":
            # USE_TZ is off, or DATABASES has a TIME_ZONE: columns hold local time, which is the server's.
            return super().as_mysql(compiler, connection, **context)
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **context)
