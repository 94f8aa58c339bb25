"""What lasts: schema, transactions, blobs."""
