"""What happens, in which order: Prefect flows, readable aloud, with no logic of their own."""
