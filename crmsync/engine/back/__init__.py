"""Marketo → Dynamics: what was changed, created, deleted or merged in Marketo, for leads and contacts."""
