"""The authorization.k8s.io group: may they?"""
