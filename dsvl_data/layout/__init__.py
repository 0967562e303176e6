"""Where text stands in a picture, and the order in which a person reads it."""
