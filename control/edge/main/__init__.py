"""The edge agent's composition root: the only place of this package that knows settings, services and push."""
