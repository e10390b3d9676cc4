"""What an S3 server's refusal means, where s3fs has one exception for several kinds."""

from s2sw.schemas.outcomes import Reason

_CUSTOMER_KEY_HEADER = "x-amz-server-side-encryption-customer-algorithm"


def reason_of_answer(error: BaseException) -> Reason | None:
    """Return UNAVAILABLE where a server has an object and does not give it out; None of all other errors.

    Archived storage classes answer InvalidObjectState. Objects under a key of the customer's (SSE-C) answer
    that the request is invalid, in words that differ, or with nothing but a header.
    """
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    if not isinstance(response, dict):
        return None
    found, metadata = response.get("Error", {}), response.get("ResponseMetadata", {})
    if found.get("Code") == "InvalidObjectState":
        return Reason.UNAVAILABLE
    encrypted = "encryption" in str(found.get("Message", "")).lower()
    if metadata.get("HTTPStatusCode") == 400 and (
        encrypted or _CUSTOMER_KEY_HEADER in metadata.get("HTTPHeaders", {})
    ):
        return Reason.UNAVAILABLE
    return None
