"""The sandbox's Marketo Engage subscription: identity, the Lead Database REST API, bulk import and bulk extract.

``app.marketo_app`` is the whole of it as an ASGI application. Nothing here knows of the product.

Rules come from Adobe's developer documentation ("Authentication", "REST API", "Error Codes", "Leads", "Companies",
"Sales Persons", "Opportunities", "Opportunity Roles", "Custom Objects", "List Membership", "Activities", "Bulk Import",
"Bulk Extract", "Usage"); where it is silent, ``switches`` says what is assumed.
"""
