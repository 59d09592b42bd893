"""The errors that the Web API answers: one function for each cause, with status, code and message.

"Compose HTTP requests and handle errors" and "Web service error codes" (Power Apps developer documents).
"""

from __future__ import annotations


class ODataError(Exception):
    """An error answer: ``{"error": {"code", "message"}}`` with an HTTP status."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def bad_request(message: str, code: str = "0x80060888") -> ODataError:
    """The general parse and validation error."""
    return ODataError(400, code, message)


def no_property(name: str, entity: str) -> ODataError:
    return bad_request(f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{entity}'.")


def invalid_property(name: str, entity: str) -> ODataError:
    """A payload names a property that the table does not have."""
    message = (
        f"Error identified in Payload provided by the user for Entity :'{entity}', For more information on this error "
        f"please follow this help link https://go.microsoft.com/fwlink/?linkid=2195293  ----> "
        f"InnerException : Microsoft.OData.ODataException: The property '{name}' does not exist on type "
        f"'Microsoft.Dynamics.CRM.{entity}'. Make sure to only use property names that are defined by the type."
    )
    return ODataError(400, "0x80048d19", message)


def payload_error(entity: str, reason: str) -> ODataError:
    message = (
        f"Error identified in Payload provided by the user for Entity :'{entity}'  ----> InnerException : {reason}"
    )
    return ODataError(400, "0x80048d19", message)


def unreadable_stream(reason: str = "Stream was not readable.") -> ODataError:
    return ODataError(400, "0x80048d19", reason)


def no_segment(name: str) -> ODataError:
    return ODataError(404, "0x8006088A", f"Resource not found for the segment '{name}'.")


def no_http_resource(url: str) -> ODataError:
    return ODataError(404, "", f"No HTTP resource was found that matches the request URI '{url}'.")


def no_row(entity: str, row_id: str) -> ODataError:
    return ODataError(404, "0x80040217", f"{entity} With Id = {row_id} Does Not Exist")


def no_row_with_key() -> ODataError:
    return ODataError(404, "0x80060891", "A record with the specified key values does not exist in entity.")


def no_such_key(entity: str) -> ODataError:
    message = f"The key in the request URI is not valid for resource 'Microsoft.Dynamics.CRM.{entity}'."
    return bad_request(message, "0x80060890")


def not_allowed(message: str, code: str = "0x80060888") -> ODataError:
    return ODataError(405, code, message)


def already_exists() -> ODataError:
    return ODataError(412, "0x80040237", "A record with matching key values already exists.")


def version_mismatch() -> ODataError:
    message = "The version of the existing record doesn't match the RowVersion property provided."
    return ODataError(412, "0x80060882", message)


def too_long(column: str, limit: int) -> ODataError:
    message = (
        f"A validation error occurred.  The length of the '{column}' attribute of the entity exceeded the maximum "
        f"allowed length of '{limit}'."
    )
    return ODataError(400, "0x80044331", message)


def invalid_argument(message: str) -> ODataError:
    return ODataError(400, "0x80040203", message)


def bad_option(entity: str, column: str, value: object, allowed: str) -> ODataError:
    message = (
        f"A validation error occurred.  The value {value!r} of '{column}' on record of type '{entity}' is outside the "
        f"valid range. Accepted Values: {allowed}"
    )
    return ODataError(400, "0x8004431A", message)


def out_of_range(column: str, value: object) -> ODataError:
    message = f"A validation error occurred.  The value of '{column}' {value!r} is outside the valid range."
    return ODataError(400, "0x80044330", message)


def bad_status(entity: str, status: int, state: int) -> ODataError:
    message = f"{status} is not a valid status code for state code {state} on {entity}."
    return ODataError(400, "0x80048408", message)


def missing_privilege(
    user_id: str, holds: tuple[int, int], privilege: str, privilege_id: str, type_code: int, entity: str
) -> ODataError:
    """``holds``: how many roles and how many privileges the user has."""
    message = (
        f"Principal user (Id={user_id}, type=8, roleCount={holds[0]}, privilegeCount={holds[1]}, "
        f"accessMode='4 Non-interactive') is missing {privilege} privilege (Id={privilege_id}) on OTC={type_code} for "
        f"entity '{entity}' "
        f"(LocalizedName='{entity}'). context.Caller={user_id}. Consider adding missed privilege to one of the "
        f"principal (user/team) roles."
    )
    return ODataError(403, "0x80040220", message)


def no_access(user_id: str, right: str, entity: str, row_id: str) -> ODataError:
    """The privilege is there, but does not reach this row."""
    message = (
        f"User with ID={user_id} does not have {right}Access right(s) for record with ID={row_id} of entity {entity}."
    )
    return ODataError(403, "0x80048306", message)


def secured_column(code: str, user_id: str, action: str, column: str, entity: str) -> ODataError:
    message = (
        f"Caller user with Id {user_id} does not have {action} permissions to a {column} secured field on entity "
        f"{entity}. The requested operation could not be completed."
    )
    return ODataError(403, code, message)


def not_a_member() -> ODataError:
    return ODataError(403, "0x80072560", "The user is not a member of the organization.")


def user_disabled(user_id: str) -> ODataError:
    message = f"The user with Id = {user_id} is either disabled or does not belong to any business unit."
    return ODataError(403, "0x80040225", message)


def tracking_not_enabled(entity: str) -> ODataError:
    return bad_request(f"Entity {entity} isn't enabled for change tracking.", "0x80072491")


def stamp_expired() -> ODataError:
    message = "Version stamp associated with the client has expired. Please perform a full sync."
    return bad_request(message, "0x80044352")


def not_with_tracking(option: str) -> ODataError:
    # The odd ${...} is what the service really writes.
    message = f'The "${{{option.lstrip("$")}}}" query parameter isn\'t supported when Change Tracking is enabled.'
    return bad_request(message)


def aggregate_limit() -> ODataError:
    return bad_request("AggregateQueryRecordLimit exceeded. Cannot perform this operation.", "0x8004E023")


def key_taken(names: str) -> ODataError:
    message = (
        f"A record that has the attribute values {names} already exists. The entity key requires that this set of "
        f"attributes contains unique values. Select unique values and try again."
    )
    return ODataError(412, "0x80060892", message)


def duplicate_found() -> ODataError:
    message = "A record was not created or updated because a duplicate of the current record already exists."
    return ODataError(412, "0x80040333", message)


def referenced(entity: str, by: str) -> ODataError:
    message = f"The {entity} cannot be deleted because it is referenced by a row of {by}."
    return ODataError(405, "0x80040227", message)


def bad_cookie() -> ODataError:
    return bad_request("The paging cookie is malformed or does not belong to this query.", "0x8004112A")


def name_taken(name: str, entity: str) -> ODataError:
    message = f"An attribute with the specified name {name} already exists for entity {entity}."
    return bad_request(message, "0x80047013")


def not_implemented(message: str) -> ODataError:
    return ODataError(501, "0x80040219", message)


def sql_error(reason: str) -> ODataError:
    return ODataError(500, "0x80044150", f"Sql error: {reason}")
