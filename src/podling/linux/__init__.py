"""Every touch of the kernel: thin wrappers, errno turned into exceptions that name what was asked."""
