"""The authentication.k8s.io group: who is it?"""
