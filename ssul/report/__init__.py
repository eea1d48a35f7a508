"""From numbers to what a person reads: tables, figures, a page."""
