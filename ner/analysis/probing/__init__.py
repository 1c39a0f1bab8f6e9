"""What a tagger does with sentences that are changed on purpose: scores, differences, and entities that flip."""
