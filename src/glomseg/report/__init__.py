"""Pages that show a result: self-contained HTML files."""
