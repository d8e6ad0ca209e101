"""The release of the AWS Lambda Web Adapter that functions on Lambda run behind, said in one place.

Layer account and number: README of github.com/aws/aws-lambda-web-adapter for 1.1.0
(`LambdaAdapterLayerX86:30`; 27 is 1.0.0, 26 the candidate 1.0.0-rc1). Regions of the layer: its
`.github/workflows/prod.json` of 1.0.0, without me-central-1, which its change log drops in 1.0.1. The layers
of China's partition have other accounts and are not offered.
"""

from __future__ import annotations

from typing import Final

RELEASE: Final = "1.1.0"
LAYER_VERSION: Final = 30
LAYER_ACCOUNT: Final = "753240598075"
LAYER_NAME: Final = "LambdaAdapterLayerX86"


def layer(region: str) -> str:
    """The layer's ARN; a layer must be in its function's region."""
    return f"arn:aws:lambda:{region}:{LAYER_ACCOUNT}:layer:{LAYER_NAME}:{LAYER_VERSION}"
