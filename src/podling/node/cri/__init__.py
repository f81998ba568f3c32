"""Pods by a runtime that speaks CRI, such as containerd or CRI-O, behind the same Protocol as the engine.

The runtime holds sandboxes, containers and images; the pods' addresses and routes stay the node's own, so that services and
names work alike. The CNI plugin that the runtime calls is a script that answers what the node has decided; the namespace which
the runtime has made is then wired by the node. Needs `pip install 'podling[cri]'`. Source: k8s.io/cri-api, runtime/v1/api.proto.
"""
