"""What a person reads: the leaderboard, the live table of a running search, the commands to type next."""
