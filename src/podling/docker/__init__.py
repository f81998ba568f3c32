"""The Docker Engine API. An edge: each route translates between JSON and engine types and hands on; no decisions here."""
