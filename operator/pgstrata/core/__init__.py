"""The words that every room uses: resources, outcomes, conditions, errors. No I/O."""
