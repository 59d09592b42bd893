"""Changes of the live schema, in SQLite and in memory: tables, columns, keys, relationships, option sets.

What a change means for rows: "Create and update table definitions using the Web API", "Define alternate keys" (Power
Apps developer documents).
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

from crmsync.sandbox.dataverse.columns import AlternateKey, Column, Link, OptionSet, Table
from crmsync.sandbox.dataverse.database import create_index, create_table, is_indexed, key_index, quoted, sql_columns
from crmsync.sandbox.dataverse.plugin_steps import filter_rows
from crmsync.sandbox.dataverse.privileges import privilege_id, privilege_rows, table_privileges
from crmsync.sandbox.dataverse.roles import set_privileges
from crmsync.sandbox.dataverse.schema import LiveTable

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.store import DataverseStore


class SchemaChanges:
    """Changes the schema of one store."""

    def __init__(self, store: DataverseStore) -> None:
        self._store = store
        self._schema = store.schema
        self._write = store.database.write

    def _keep(self, table: LiveTable) -> LiveTable:
        self._store.storage.save_table(table)
        self._store.storage.save_history(self._schema.history)
        return table

    # Tables

    def create_table(self, definition: Table) -> LiveTable:
        """A new table, its privileges, and these for administrators."""
        with self._store.transaction():
            table = self._schema.put(definition)
            for statement in create_table(table):
                self._write(statement)
            self._keep(table)
            names = table_privileges(definition)
            self._store.insert_many("privilege", privilege_rows(names))
            held = [(privilege_id(name), "Global") for name in names]
            set_privileges(self._store, self._store.ids.administrator_role, held)
            self._store.insert_many("sdkmessagefilter", filter_rows([table]))
        return table

    def change_table(self, definition: Table) -> LiveTable:
        """Labels, change tracking: what does not touch rows."""
        return self._keep(self._schema.put(definition))

    def drop_table(self, table: LiveTable) -> None:
        """A table with its rows, its relationships and its privileges."""
        for other in list(self._schema.tables.values()):
            for column in other.definition.columns:
                if any(one.target == table.name for one in column.references) and other.name != table.name:
                    self._drop_reference(other.name, column, table.name)
        for link in [one for one in self._schema.links.values() if table.name in one.entities]:
            self.drop_link(link)
        with self._store.transaction():
            self._schema.drop(table.name)
            self._store.storage.delete_table(table.name)
            self._store.storage.save_history(self._schema.history)
            self._write(f"DROP TABLE {quoted(table.name)}")
            self._write("DELETE FROM _deleted WHERE entity = ?", (table.name,))
            self._write("DELETE FROM sdkmessagefilter WHERE primaryobjecttypecode = ?", (table.name,))
            self._write("DELETE FROM solutioncomponent WHERE objectid = ?", (table.definition.metadata_id,))
            for name in table_privileges(table.definition):
                gone = privilege_id(name)
                self._write("DELETE FROM privilege WHERE privilegeid = ?", (gone,))
                self._write("DELETE FROM _role_privilege WHERE privilegeid = ?", (gone,))

    def _drop_reference(self, table: str, column: Column, target: str) -> None:
        """A lookup loses one target; one without any is gone."""
        left = tuple(one for one in column.references if one.target != target)
        if not left:
            self.drop_column(self._schema.tables[table], column)
            return
        if len(left) == 1:  # it is polymorphic no more: the column that holds the target's name goes
            clear = f"UPDATE {quoted(table)} SET {quoted(column.name)} = NULL WHERE {quoted(column.name + 'type')} = ?"
            self._write(clear, (target,))
            self._write(f"ALTER TABLE {quoted(table)} DROP COLUMN {quoted(column.name + 'type')}")
        self._keep(self._schema.change_column(table, replace(column, references=left)))

    # Columns

    def add_column(self, table: LiveTable, column: Column) -> None:
        for definition in sql_columns(column) if column.stored else []:
            self._write(f"ALTER TABLE {quoted(table.name)} ADD COLUMN {definition}")
        if is_indexed(column):
            self._write(create_index(table.name, column))
        self._keep(self._schema.add_column(table.name, column))

    def change_column(self, table: LiveTable, column: Column) -> None:
        """Label, length, options and so on; the type stays."""
        self._keep(self._schema.change_column(table.name, column))

    def drop_column(self, table: LiveTable, column: Column) -> None:
        """Forget a column at once; its values go too (which takes seconds when the table has a million rows)."""
        self._keep(self._schema.drop_column(table.name, column.name))
        self._write("DELETE FROM solutioncomponent WHERE objectid = ?", (column.metadata_id,))
        if is_indexed(column):
            self._write(f"DROP INDEX {quoted(f'{table.name}_{column.name}')}")
        names = [column.name, f"{column.name}type"] if column.polymorphic else [column.name]
        for name in names if column.stored else []:
            self._write(f"ALTER TABLE {quoted(table.name)} DROP COLUMN {quoted(name)}")

    # Keys

    def add_key(self, table: LiveTable, key: AlternateKey) -> None:
        """An alternate key; with duplicates in the table its index fails, as the definition then says."""
        try:
            self._write(key_index(table, key.columns, key.name))
        except sqlite3.IntegrityError:
            key = replace(key, failed=True)
        self._keep(self._schema.put(replace(table.definition, keys=(*table.definition.keys, key))))

    def drop_key(self, table: LiveTable, key: AlternateKey) -> None:
        self._write(f"DROP INDEX IF EXISTS {quoted(f'key_{table.name}_{key.name}')}")
        left = tuple(one for one in table.definition.keys if one.metadata_id != key.metadata_id)
        self._keep(self._schema.put(replace(table.definition, keys=left)))

    # Many-to-many relationships and option sets

    def add_link(self, link: Link) -> None:
        self._write(f"CREATE TABLE {quoted(link.intersect)} (id0 TEXT, id1 TEXT, PRIMARY KEY (id0, id1))")
        self._write(f"CREATE INDEX {quoted(link.intersect + '_back')} ON {quoted(link.intersect)} (id1)")
        self._schema.put_link(link)
        self._store.storage.save_definition("link", link.schema_name, link)
        self._store.storage.save_history(self._schema.history)

    def drop_link(self, link: Link) -> None:
        self._schema.drop_link(link)
        self._store.storage.delete_definition("link", link.schema_name)
        self._store.storage.save_history(self._schema.history)
        self._write(f"DROP TABLE {quoted(link.intersect)}")

    def put_option_set(self, one: OptionSet) -> None:
        """A global option set; the columns that use it get its options."""
        self._schema.put_option_set(one)
        self._store.storage.save_definition("option set", one.name, one)
        for table in list(self._schema.tables.values()):
            for column in table.definition.columns:
                if column.global_options == one.name and column.options != one.options:
                    self.change_column(table, replace(column, options=one.options))
        self._store.storage.save_history(self._schema.history)

    def drop_option_set(self, one: OptionSet) -> None:
        self._schema.drop_option_set(one)
        self._store.storage.delete_definition("option set", one.name)
        self._store.storage.save_history(self._schema.history)
