"""Black-76 prices, implied volatilities and Greeks as pure functions on arrays."""
