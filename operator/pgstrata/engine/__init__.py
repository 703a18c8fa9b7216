"""Plans and steps: exclusive access, journal, retries, progress, the one exit to status."""
