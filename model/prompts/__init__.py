"""From words to class vectors: learned, handwritten and class prompts."""
