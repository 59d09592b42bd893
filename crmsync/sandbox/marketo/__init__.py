"""The sandbox's Marketo Engage subscription: identity, Lead Database REST API and bulk lead import.

``app.marketo_app`` is the whole of it as an ASGI application. Nothing here knows of the product.

Rules come from Adobe's developer documentation ("Authentication", "REST API", "Error Codes", "Leads",
"Companies", "Sales Persons", "Bulk Lead Import", "Usage"); where it is silent, ``switches`` says what is assumed.
"""
