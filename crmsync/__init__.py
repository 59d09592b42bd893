"""crmsync keeps a Microsoft Dynamics 365 organization and an Adobe Marketo Engage subscription in step.

This package is the product as a library: no Prefect in here, usable from a notebook. What happens in which order is
in ``flows``; the steps are in ``tasks``; who it runs for is in ``deployments``.
"""

__version__ = "0.1.0"
