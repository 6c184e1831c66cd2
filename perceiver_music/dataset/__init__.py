"""Sources of music, the token store, and the windows that models train on."""
