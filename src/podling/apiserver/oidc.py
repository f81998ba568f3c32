"""The documents by which others check our service-account tokens.

Source: OpenID Connect Discovery 1.0; Kubernetes documentation "Service account issuer discovery".
"""

from collections.abc import Callable, Mapping

import orjson

from podling.aio.http import Response
from podling.apiserver.authn import ALGORITHM, TokenKeys

CONFIGURATION, KEYS = "/.well-known/openid-configuration", "/openid/v1/jwks"
_HEADERS = [("Cache-Control", "public, max-age=3600")]


def documents(keys: TokenKeys) -> Mapping[str, Callable[[], Response]]:
    """What is served, by path."""
    configuration = {
        "issuer": keys.issuer,
        "jwks_uri": f"{keys.issuer}{KEYS}",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
    }
    return {
        CONFIGURATION: lambda: _document(configuration, "application/json"),
        KEYS: lambda: _document({"keys": [keys.public_jwk]}, "application/jwk-set+json"),
    }


def _document(content: object, media: str) -> Response:
    return Response(200, orjson.dumps(content), [("Content-Type", media), *_HEADERS])
