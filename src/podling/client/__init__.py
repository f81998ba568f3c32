"""A Kubernetes client: requests, watches, informers, leader election. Works on any cluster that a kubeconfig names."""
