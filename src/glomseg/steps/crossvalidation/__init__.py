"""The parts of a cross-validation: its plan, its record, its table, what it chooses, and the pooled evaluation."""
