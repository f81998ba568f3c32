"""The node's own API, as the kubelet's: logs, exec, attach, port-forward. Only the API server may ask.

Law: the API server passes upgraded connections through as raw bytes, so that every streaming protocol is spoken here.
"""
