"""What a person or a program reads: progress, tables and sentences. Pure but for `progress`, and without
network.
"""
