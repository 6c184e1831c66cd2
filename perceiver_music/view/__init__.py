"""What music looks like: pictures, a page with a player, a roll in the terminal."""
