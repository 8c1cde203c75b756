"""The imperative shell: mailboxes, commits, dispatch, timers, outbox, members."""
