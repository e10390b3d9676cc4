"""How storage is reached. Credentials are never configuration: they come from the environment or a role."""

from typing import Literal

from pydantic import Field

from s2sw.schemas.marks import ShownText
from s2sw.schemas.strict import Strict


class StorageSettings(Strict):
    """S3 endpoint, and how patiently it is asked."""

    endpoint_url: str | None = Field(
        None, description="S3 endpoint, https://host:port; default: AWS_ENDPOINT_URL or AWS itself"
    )
    region: ShownText | None = Field(None, description="S3 region; default: AWS_DEFAULT_REGION")
    instance_role: bool = Field(
        False, description="take credentials from the machine's role, through its metadata service"
    )
    anonymous: bool = Field(False, description="read public buckets without credentials")
    encryption: Literal["AES256", "aws:kms"] | None = Field(
        None, description="server-side encryption asked for with every object that is written"
    )
    kms_key: str | None = Field(None, description="key of aws:kms; default: the account's own for S3")
    tries: int = Field(4, ge=1, le=20, description="tries of one request that fails in passing")
    connect_timeout: float = Field(10, gt=0, description="seconds to wait for a connection")
    read_timeout: float = Field(60, gt=0, description="seconds to wait for the next bytes")
    slowest: float = Field(
        10_000, gt=0, description="bytes per second below which reading is given up, after a minute"
    )
