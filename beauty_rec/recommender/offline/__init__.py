"""Events of the past, asked as a shopper would have asked."""
