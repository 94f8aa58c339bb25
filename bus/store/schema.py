"""One metadata for every table of the house; packages add their tables to it, migrations read it.

Columns are integers, text and bytes only, so that rows pass through the driver untouched on every engine. Times are
microseconds since 1970. Every table of customers' data carries the tenant.
"""

from sqlalchemy import MetaData

__all__ = ["metadata"]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
