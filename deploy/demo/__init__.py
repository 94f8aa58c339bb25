"""The demo: customers who write, call and chat through the real doors, and the mailbox that receives what they get."""
