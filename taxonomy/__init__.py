"""The taxonomy as data, classification, balancing and their reports."""
