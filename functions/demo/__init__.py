"""An agent that needs no model: it plans with rules, calls tools, looks at what came out and answers."""
