"""The demo agent: without a model it plans with rules, calls tools and answers from their results."""
