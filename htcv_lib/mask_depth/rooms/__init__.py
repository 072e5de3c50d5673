"""Pets that stand in rooms and on open grounds: pictures with and without them, exact mask, exact depth."""
