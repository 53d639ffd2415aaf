"""The store: one project is one SQLite file that holds records, runs and everything that a run made."""
