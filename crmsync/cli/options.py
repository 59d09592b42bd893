"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

DEFAULT_TENANTS = Path("deployments/tenants")

TenantArgument = Annotated[str, Parameter(help="The tenant: the name of its file without .yaml.")]
TenantsFolder = Annotated[
    Path, Parameter(name="--tenants", env_var="CRMSYNC_TENANTS", help="Folder with the tenant files.")
]
Verbose = Annotated[bool, Parameter(negative="", help="Show Prefect's own log lines too.")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, for programs; an error too.")]
Allow = Annotated[
    bool,
    Parameter(
        negative="", help="Let this run delete, flag, clear or overwrite more than 'safety' in the tenant file lets it."
    ),
]
