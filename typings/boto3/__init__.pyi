from typing import Any

def client(
    service_name: str,
    *,
    region_name: str = ...,
    endpoint_url: str = ...,
    aws_access_key_id: str = ...,
    aws_secret_access_key: str = ...,
    aws_session_token: str | None = ...,
    config: object = ...,
) -> Any: ...  # noqa: ANN401
