"""podling: a container engine and a Kubernetes cluster in one package.

ARCHITECTURE.md has the house, its layers and their laws.
"""

__version__ = "0.1.0"
