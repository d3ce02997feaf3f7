"""Which numbers move the outcome most, and what sets the years that miss apart from those that attain."""
