"""From predictions to the numbers of the field."""
