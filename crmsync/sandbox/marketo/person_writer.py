"""Creating and updating people from prepared records: who is meant is found first, writing comes later.

Between the two lies the time that a call takes, and other calls: when two that overlap carry the same new key, both
have found nobody, and both create. "Leads" (the note on concurrent upserts) warns of exactly that.

Actions and codes 1004, 1005, 1007 and 1021: "Leads" and "Error Codes". That a linked person's company fields are
refused, and that a person cannot be taken out of a company, is "Companies"; how it is said is assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crmsync.sandbox.marketo.activities import Activities, Change, Entry, created
from crmsync.sandbox.marketo.activities import changed as log_of_changes
from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.fields import Field
from crmsync.sandbox.marketo.people import COMPANY_KEY, PARTITION, PARTITION_FIELD, Key, People, Person
from crmsync.sandbox.marketo.person_rules import Prepared
from crmsync.sandbox.marketo.switches import Switches

Outcome = tuple[str, int] | MarketoError
"""``created`` or ``updated`` with the person's id, or why not."""


class PersonWriter:
    """One call's, or one import job's, view of who has which key."""

    def __init__(
        self,
        people: People,
        activities: Activities,
        switches: Switches,
        *,
        action: str,
        lookup: Field,
        partition: int | None = None,
    ) -> None:
        self._people = people
        self._activities = activities
        self._switches = switches
        self._action = action
        self._lookup = lookup
        self._partition = partition
        self._log: list[Entry] = []
        self._fold = people.folding()
        self._refuses_repetition = switches.on("same_key_twice", "refuse")
        self._always_moves_updated_at = bool(switches["unchanged_moves_updated_at"])
        self._found: dict[Key, list[int]] = {}
        self._seen: set[Key] = set()

    def find(self, keys: Sequence[Key]) -> None:
        """Find who has these keys now; later on this answer is used, whatever others write meanwhile."""
        if self._action != "createDuplicate":
            self._found.update(self._people.find(self._lookup, keys))

    def write(self, prepared: Sequence[Prepared], moment: str) -> list[Outcome]:
        """Write the records in order; inside a transaction."""
        people = self._people.load({number for each in prepared for number in self._single(each)})
        fresh = iter(self._people.create_ids(len(prepared)))
        outcomes = [self._one(each, people, fresh, moment) for each in prepared]
        self._people.save(people.values(), moment)
        self._activities.add(self._log)
        self._log.clear()
        return outcomes

    def _single(self, record: Prepared) -> Sequence[int]:
        if record.refusal is not None:
            return ()
        found = self._matches(record)
        return found if len(found) == 1 else ()

    def _matches(self, record: Prepared) -> Sequence[int]:
        if record.id is not None:
            return (record.id,)
        return () if record.key is None else self._found.get(self._fold(record.key), ())

    def _one(self, record: Prepared, people: dict[int, Person], fresh: Any, moment: str) -> Outcome:
        try:
            if record.refusal is not None:
                return record.refusal
            self._check_repetition(record)
            matches = self._matches(record)
            if len(matches) > 1:
                raise MarketoError(1007)
            if not matches:
                return "created", self._create(record, people, next(fresh), moment)
            if self._action == "createOnly":
                raise MarketoError(1005)
            person = people.get(matches[0])
            if person is None:
                raise MarketoError(1004)
            self._update(person, record, moment)
            return "updated", person.id
        except MarketoError as error:
            return error

    def _check_repetition(self, record: Prepared) -> None:
        if record.key is None or not self._refuses_repetition:
            return
        folded = self._fold(record.key)
        if folded in self._seen:
            raise MarketoError(1036)
        self._seen.add(folded)

    def _create(self, record: Prepared, people: dict[int, Person], number: int, moment: str) -> int:
        if self._action == "updateOnly":
            raise MarketoError(1004)
        values = self._settled(record, linked=False)
        body = {name: value for name, value in values.items() if value is not None}
        if self._partition not in (None, PARTITION):
            body[PARTITION_FIELD] = self._partition
        people[number] = Person(number, moment, moment, body, new=True)
        self._log.append(created(number))
        if record.key is not None:
            self._found[self._fold(record.key)] = [number]
        return number

    def _update(self, person: Person, record: Prepared, moment: str) -> None:
        body = person.body
        if self._partition is not None and body.get(PARTITION_FIELD, PARTITION) != self._partition:
            raise MarketoError(1010)
        values = self._settled(record, linked=COMPANY_KEY in body)
        if COMPANY_KEY in values and COMPANY_KEY not in body and values[COMPANY_KEY] is not None:
            self._give_up_company_fields(body)
        changed = {name: value for name, value in values.items() if body.get(name) != value}
        if changed:
            self._log.append(log_of_changes(person.id, self._changes(body, changed)))
        for name, value in changed.items():
            if value is None:
                del body[name]
            else:
                body[name] = value
        person.changed = person.changed or bool(changed)
        if self._moves_updated_at(changed):
            person.updated_at = moment
            person.changed = True

    def _changes(self, body: dict[str, Any], changed: dict[str, Any]) -> list[Change]:
        fields = self._people.fields
        known = ((fields.get(name), body.get(name), value) for name, value in changed.items())
        return [(field.id, old, new) for field, old, new in known if field is not None]

    def _settled(self, record: Prepared, *, linked: bool) -> dict[str, Any]:
        """The values that may be written, given whether the person is in a company already."""
        values = record.values
        company = values.get(COMPANY_KEY)
        if linked and company is None and COMPANY_KEY in values:
            if self._switches.on("unlink_company", "refuse"):
                raise MarketoError(1003, "A lead cannot be taken out of its company")
            values = {name: value for name, value in values.items() if name != COMPANY_KEY}
        if record.company_fields and (linked or company is not None):
            if self._switches.on("company_fields_when_linked", "refuse"):
                raise MarketoError(1021)
            fields = self._people.fields
            values = {n: v for n, v in values.items() if not ((field := fields.get(n)) and field.company)}
        return values

    def _give_up_company_fields(self, body: dict[str, Any]) -> None:
        for field in self._people.fields:
            if field.company:
                body.pop(field.name, None)

    def _moves_updated_at(self, changed: dict[str, Any]) -> bool:
        """``updatedAt`` of a person moves on standard fields only ("Bulk Lead Extract")."""
        if self._always_moves_updated_at:
            return True
        fields = self._people.fields
        return any((field := fields.get(name)) is not None and not field.custom for name in changed)
