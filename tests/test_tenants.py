"""Tenant files: what may stand in them, and what a wrong one says: file, line, remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmsync.errors import SecretMissing, TenantFileWrong
from crmsync.secrets import SecretSource, SecretStore
from crmsync.tenants import load_tenant, tenant_names

CONTOSO = """\
dynamics:
  organization_url: https://contoso.crm.dynamics.com/XRMServices/2011/Organization.svc
  entra_tenant_id: 11111111-2222-3333-4444-555555555555
  client_id: 22222222-3333-4444-5555-666666666666
  client_secret: {env: CONTOSO_DYNAMICS_SECRET}
marketo:
  base_url: https://123-ABC-456.mktorest.com/rest
  client_id: 33333333-4444-5555-6666-777777777777
  client_secret: {file: marketo.secret}
notifications:
  to: [ops@contoso.example]
"""


def write(folder: Path, text: str, name: str = "contoso") -> None:
    (folder / f"{name}.yaml").write_text(text)


def test_the_organization_service_url_is_understood(tmp_path: Path) -> None:
    write(tmp_path, CONTOSO)

    tenant = load_tenant("contoso", tmp_path)

    assert tenant.dynamics.organization_url == "https://contoso.crm.dynamics.com"
    assert tenant.marketo.base_url == "https://123-abc-456.mktorest.com"
    assert tenant.marketo.subscription == "123-ABC-456"
    assert tenant.interval_minutes == 5
    assert tenant_names(tmp_path) == ["contoso"]


@pytest.mark.parametrize(
    ("change", "line", "says", "remedy"),
    [
        (("client_id: 22", "client_idd: 22"), 4, "dynamics.client_idd", "correct its spelling"),
        (("https://contoso", "http://contoso"), 2, "no https URL", "correct 'dynamics.organization_url'"),
        (("  client_secret: {env: CONTOSO_DYNAMICS_SECRET}\n", ""), 1, "client_secret or certificate", "correct"),
        (("{env: CONTOSO_DYNAMICS_SECRET}", "hunter2"), 5, "dynamics.client_secret", "correct"),
        (("{env: CONTOSO_DYNAMICS_SECRET}", "{env: A, file: b}"), 5, "exactly one place", "correct"),
        (("ops@contoso.example", "nobody"), 11, "notifications.to.0", "correct"),
        (("marketo:", "safety: {percent: 101}\nmarketo:"), 6, "safety.percent: this is too large", "'safety.percent'"),
        (("marketo:", "safety: {at_least: off}\nmarketo:"), 6, "at_least: this should be a whole number", "correct"),
        (("marketo:", "marketo: ["), 8, "not YAML", "Mend the line"),
        (("notifications:", "custom_entities: lead\nnotifications:"), 10, "should be a list", "correct"),
        (
            ("marketo:", "fields: {time_zone: Auckland}\nmarketo:"),
            6,
            "did you mean Pacific/Auckland?",
            "fields.time_zone",
        ),
        (("marketo:", "fields: {time_zone: NZDT}\nmarketo:"), 6, "'NZDT' is no time zone", "fields.time_zone"),
        (("marketo:", "dynamics:"), 6, "'dynamics' is given twice", "Keep one"),
        (("  base_url", "  client_id: 1\n  base_url"), 9, "'client_id' is given twice", "Keep one"),
        (
            ("  base_url", "  munchkin_id: 999-XYZ-999\n  base_url"),
            6,
            "999-XYZ-999, but base_url is that of",
            "marketo",
        ),
        (
            ("marketo:", "entities: [lead]\ncreate_in_dynamics: {list: Hot, as: contact}\nmarketo:"),
            7,
            "no contact can be created",
            "create_in_dynamics",
        ),
        ((CONTOSO, "- contoso"), 1, "expected settings", "shows a whole file"),
    ],
)
def test_a_wrong_file_names_file_line_and_remedy(
    tmp_path: Path, change: tuple[str, str], line: int, says: str, remedy: str
) -> None:
    write(tmp_path, CONTOSO.replace(*change))

    with pytest.raises(TenantFileWrong) as wrong:
        load_tenant("contoso", tmp_path)

    assert f"contoso.yaml:{line}:" in wrong.value.message
    assert says in wrong.value.message
    assert remedy in wrong.value.remedy
    assert "hunter2" not in str(wrong.value), "what was typed there may be the secret itself"


def test_a_file_that_is_not_utf_8_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "contoso.yaml").write_bytes(CONTOSO.encode() + b"# caf\xe9\n")

    with pytest.raises(TenantFileWrong, match=r"contoso.yaml:12: this is not UTF-8 text"):
        load_tenant("contoso", tmp_path)


@pytest.mark.parametrize(
    ("name", "folder", "says", "remedy"),
    [
        ("contso", ".", "no tenant file", "one of the tenants in"),
        ("contoso", "tenant", "no folder", "--tenants FOLDER"),
    ],
)
def test_a_missing_file_is_told_from_a_missing_folder(
    tmp_path: Path, name: str, folder: str, says: str, remedy: str
) -> None:
    write(tmp_path, CONTOSO)

    with pytest.raises(TenantFileWrong, match=says) as wrong:
        load_tenant(name, tmp_path / folder)

    assert remedy in wrong.value.remedy


CUSTOM = """\
custom_entities:
  - new_visit
  - {entity: new_trip, name: crmTrip, link: new_dealid.customerid, exclude: [new_secret]}
"""


def test_custom_entities_are_named_alone_or_with_settings(tmp_path: Path) -> None:
    write(tmp_path, CONTOSO + CUSTOM)

    tenant = load_tenant("contoso", tmp_path)

    assert tenant.custom_names == ("new_visit", "new_trip")
    assert (tenant.custom_entities[0].name, tenant.custom_entities[1].name) == (None, "crmTrip")
    assert load_tenant("contoso", tmp_path).model_copy(update={"custom_entities": ()}).custom_names == ()


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (("- new_visit", "- lead"), 13, "no custom entity"),
        (("- new_visit", "- listmember"), 13, "cannot be synced"),
        (("- new_visit", "- new_trip"), 12, "new_trip: named twice"),
        (("name: crmTrip", "name: new_Visit"), 12, "new_visit: named twice"),
        (("- new_visit", "- New Visit"), 13, "custom_entities.0.entity"),
        (("name: crmTrip", f"name: {'x' * 34}"), 14, "custom_entities.1.name"),
        (("link: new_dealid.customerid", "link: a.b.c"), 14, "custom_entities.1.link"),
        (("exclude: [new_secret]", "include: [a], exclude: [a]"), 14, "included and excluded"),
        (("exclude:", "excluded:"), 14, "custom_entities.1.excluded"),
    ],
)
def test_a_wrong_custom_entity_names_line_and_reason(
    tmp_path: Path, change: tuple[str, str], line: int, says: str
) -> None:
    write(tmp_path, CONTOSO + CUSTOM.replace(*change))

    with pytest.raises(TenantFileWrong) as wrong:
        load_tenant("contoso", tmp_path)

    assert f"contoso.yaml:{line}:" in wrong.value.message
    assert says in wrong.value.message


def test_a_missing_file_lists_those_that_are_there(tmp_path: Path) -> None:
    write(tmp_path, CONTOSO)

    with pytest.raises(TenantFileWrong) as missing:
        load_tenant("fabrikam", tmp_path)

    assert "contoso" in missing.value.remedy


async def test_a_secret_is_looked_for_where_the_file_says(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FROM_FILE='from .env'\nBOTH=from .env\n")
    (tmp_path / "marketo.secret").write_text("from a file\n")
    store = SecretStore(tmp_path, environment={"BOTH": "from the environment"})

    async def get(source: SecretSource) -> str:
        return (await store.get(source, tenant="contoso", purpose="secret")).get_secret_value()

    assert await get(SecretSource(env="FROM_FILE")) == "from .env"
    assert await get(SecretSource(env="BOTH")) == "from the environment"
    assert await get(SecretSource(file=Path("marketo.secret"))) == "from a file"


async def test_a_secret_beside_the_tenant_files_is_taken_as_it_stands_there_now(tmp_path: Path) -> None:
    store, place = SecretStore(tmp_path, environment={}), SecretSource(env="SECRET")

    async def get() -> str:
        return (await store.get(place, tenant="contoso", purpose="secret")).get_secret_value()

    for value in ("a${HOME}b#c", "renewed", "RENEWED"):
        (tmp_path / ".env").write_text(f"SECRET='{value}'\n")
        assert await get() == value


async def test_a_missing_secret_names_its_place(tmp_path: Path) -> None:
    store = SecretStore(tmp_path, environment={})

    with pytest.raises(SecretMissing, match="environment variable NOWHERE") as missing:
        await store.get(SecretSource(env="NOWHERE"), tenant="contoso", purpose="Marketo client secret")

    assert "Marketo client secret" in missing.value.remedy


def test_the_sample_is_a_tenant_file(tmp_path: Path) -> None:
    sample = Path(__file__).parents[1] / "deployments" / "tenants" / "example.yaml.sample"
    text = sample.read_text()
    write(tmp_path, text)

    plain = load_tenant("contoso", tmp_path)
    head, _, options = text.partition("# Everything below is optional; these are the defaults.\n")
    options = "\n".join(line.removeprefix("# ") for line in options.splitlines() if not line.startswith("# ca_file"))
    write(tmp_path, head + options)

    assert load_tenant("contoso", tmp_path) == plain, "what the sample calls defaults are the defaults"
