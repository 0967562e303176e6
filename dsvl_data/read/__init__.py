"""Reading raw material: where documents lie, and what is in them."""
