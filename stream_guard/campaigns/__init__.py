"""Linking accounts into campaigns: the population half of the engine, from compact reports to live campaigns."""
