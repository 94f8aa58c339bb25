"""The proof from outside: offers contacts through the real doors, breaks things, and judges what came back.

It knows what it sent, which yes it heard on the wire and what the customers received. Nothing of the product is
believed: its own commands are asked only where nobody outside can see (lag, dead letters, the record of a case).
"""
