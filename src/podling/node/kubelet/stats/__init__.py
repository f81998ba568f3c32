"""What this node and its pods use, as the kubelet tells it: `/stats/summary` and the Prometheus endpoints.

Law: nothing is read until somebody asks; `reader.py` and what it uses read in a thread, the texts are pure functions of that.

Source: k8s.io/kubelet stats/v1alpha1; Kubernetes documentation "Resource metrics pipeline", "Node metrics data",
"Kubernetes Metrics Reference"; cAdvisor, "Monitoring cAdvisor with Prometheus".
"""
