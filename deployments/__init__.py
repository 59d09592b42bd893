"""Who it runs for, and where: tenant files, and the Prefect deployments that are made of them."""
