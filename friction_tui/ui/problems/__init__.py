"""The problem list, the "Why" page of one finding, and its fixes."""
