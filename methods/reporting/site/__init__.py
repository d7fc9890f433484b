"""A static site of all results: a leaderboard, a page a method, table and run; plain files, no server, no network."""
