"""What reacts: timers, delayed sending, background fetches. It asks the read models what is due and submits commands."""
