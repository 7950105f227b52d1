"""The words and rules of the system, in pure Python: no database, no network, no clock."""
