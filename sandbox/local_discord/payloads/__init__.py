"""The JSON that Discord sends: users, messages, servers, channels, interactions."""
