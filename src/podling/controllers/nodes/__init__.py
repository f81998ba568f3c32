"""What happens to nodes that fall silent, and to the pods on them."""
