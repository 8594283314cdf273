"""The lake: the tables that Kith writes, and the reports made of them."""
