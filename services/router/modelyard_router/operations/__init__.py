"""What callers can ask of the router, one module for each operation: it reads the body, decides or predicts, and
renders the answer. Another gateway is another module here; it calls the `Decider` or the `Predictor`.
"""
