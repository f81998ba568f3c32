"""Task groups, clock, HTTP/1.1 server and client, WebSocket, SPDY. Knows nothing of containers or Kubernetes."""
