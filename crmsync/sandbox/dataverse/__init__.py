"""The sandbox's Dynamics 365 organization: the Dataverse Web API as documented, over one SQLite file.

"Use the Microsoft Dataverse Web API" (Power Apps developer documents).
"""
