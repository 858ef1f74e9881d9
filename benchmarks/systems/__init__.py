"""What other systems reach on the same people: figures of docs/systems.md."""
