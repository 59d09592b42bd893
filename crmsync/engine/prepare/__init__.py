"""The two prerequisite steps in Dynamics, by machine: the solution or our own small set, then the sync user."""
