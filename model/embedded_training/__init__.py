"""How the embedded detector is trained: on generated pictures alone, on the CPU. Knows no Ray."""
