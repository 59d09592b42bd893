"""Custom entities: from tables of the organization's own to custom objects in Marketo, one way."""
