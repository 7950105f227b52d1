"""Pages and API: they read the database and never talk to Kamailio."""
