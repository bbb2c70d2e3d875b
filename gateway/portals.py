"""A site's doors, turnstiles and interlocks as the walk-up uses them."""
