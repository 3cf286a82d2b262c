"""Put Freehold into the signed-in user's menu, and take it out again."""
