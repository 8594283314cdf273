"""Who is who: from identifiers seen together to people."""
