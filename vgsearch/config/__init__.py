"""What a user writes: strict models, YAML with search tags, and every problem in one message."""
