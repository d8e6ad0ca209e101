"""Regions a stack may name, so that a typo is found before anything is deployed.

From the providers' own region lists, 2026-11: AWS regions of the commercial partition, open by default or by
opt-in, that have Lambda function URLs and the layer of the Lambda Web Adapter; Azure regions that offer Flex
Consumption (`az functionapp list-flexconsumption-locations`); Google Cloud regions of Cloud Run functions. A
region that opens later is one word here.
"""

from __future__ import annotations

from collections.abc import Mapping

from infra.config.model import Cloud


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_NO_URLS = "AWS has no Lambda function URLs there (lambda/latest/dg/urls-configuration.html)"
_NO_LAYER = "the Lambda Web Adapter does not publish its layer there (its workflows/prod.json)"
# Regions that exist and still cannot carry a function of ours, each with the reason.
UNFIT: Mapping[Cloud, Mapping[str, str]] = {
    "aws": {
        **dict.fromkeys(
            _names(
                """ap-east-2 ap-south-2 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7 ca-west-1
                eu-central-2 eu-south-2 il-central-1 me-central-1"""
            ),
            _NO_URLS,
        ),
        "me-south-1": _NO_LAYER,
    },
    "azure": {},
    "gcp": {},
}

REGIONS: Mapping[Cloud, tuple[str, ...]] = {
    "aws": _names(
        """us-east-1 us-east-2 us-west-1 us-west-2 ca-central-1 mx-central-1 sa-east-1 eu-central-1 eu-north-1
        eu-south-1 eu-west-1 eu-west-2 eu-west-3 af-south-1 ap-east-1 ap-northeast-1 ap-northeast-2
        ap-northeast-3 ap-south-1 ap-southeast-1 ap-southeast-2 ap-southeast-3"""
    ),
    "azure": _names(
        """australiacentral australiaeast australiasoutheast brazilsouth canadacentral canadaeast centralindia
        centralus eastasia eastus eastus2 francecentral germanywestcentral israelcentral italynorth japaneast
        japanwest koreacentral koreasouth mexicocentral newzealandnorth northcentralus northeurope norwayeast
        polandcentral southafricanorth southcentralus southeastasia southindia spaincentral swedencentral
        switzerlandnorth uaenorth uksouth ukwest westcentralus westeurope westus westus2 westus3"""
    ),
    "gcp": _names(
        """africa-south1 asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1
        asia-south2 asia-southeast1 asia-southeast2 australia-southeast1 australia-southeast2 europe-central2
        europe-north1 europe-north2 europe-southwest1 europe-west1 europe-west10 europe-west12 europe-west2
        europe-west3 europe-west4 europe-west6 europe-west8 europe-west9 me-central1 me-central2
        me-west1 northamerica-northeast1 northamerica-northeast2 northamerica-south1 southamerica-east1
        southamerica-west1 us-central1 us-east1 us-east4 us-east5 us-south1 us-west1 us-west2 us-west3
        us-west4"""
    ),
}

# Where Cloud Scheduler is for certain. It comes to regions later than Cloud Run does, and a region missing
# here costs nothing: the job may stand anywhere. docs.cloud.google.com/scheduler/docs/locations and its
# release notes of 2026-04-17 and 2026-09-24.
SCHEDULER_REGIONS = _names(
    """asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1 asia-south2
    asia-southeast1 asia-southeast2 australia-southeast1 europe-central2 europe-west1 europe-west12
    europe-west2 europe-west3 europe-west4 europe-west6 me-central1 me-central2 me-west1
    northamerica-northeast1 northamerica-northeast2 southamerica-east1 us-central1 us-east1 us-east4 us-west1
    us-west2 us-west3 us-west4"""
)
SCHEDULER_DEFAULTS: Mapping[str, str] = {
    "africa": "europe-west1",
    "asia": "asia-southeast1",
    "australia": "australia-southeast1",
    "europe": "europe-west1",
    "me": "me-central1",
    "northamerica": "us-central1",
    "southamerica": "southamerica-east1",
    "us": "us-central1",
}


def scheduler_region(region: str) -> str:
    """Where the schedule of a function in Google's `region` stands: there, or on the same continent."""
    if region in SCHEDULER_REGIONS:
        return region
    return SCHEDULER_DEFAULTS[region.partition("-")[0]]
