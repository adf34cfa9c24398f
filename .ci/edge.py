"""Checks that the distribution of examples/edge/template.yaml fits the API of template.yaml.

The managed policy that adds the viewer's headers and passes on Authorization also passes on Host. So API Gateway sees
the name that the client called, and answers 403 unless the API has a custom domain of that name."""

import re

from samcli.yamlhelper import yaml_parse

CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER_AND_CLOUDFRONT_HEADERS = "33f36d7e-f396-46d9-90e0-52428a34d9dc"

edge = yaml_parse(open("examples/edge/template.yaml").read())
service = yaml_parse(open("template.yaml").read())
config = edge["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
behavior = config["DefaultCacheBehavior"]
(origin,) = config["Origins"]
(header,) = origin["OriginCustomHeaders"]


def check_names() -> None:
    assert behavior["CachePolicyId"] == CACHING_DISABLED
    assert behavior["OriginRequestPolicyId"] == ALL_VIEWER_AND_CLOUDFRONT_HEADERS
    name = {"Ref": "DomainName"}
    assert config["Aliases"] == [name], config["Aliases"]
    api = service["Resources"]["Api"]["Properties"]
    condition, domain, _ = api["Domain"]["Fn::If"]
    assert condition == "HasDomain" and domain["DomainName"] == name, api["Domain"]
    assert api["DisableExecuteApiEndpoint"] == {"Fn::If": ["HasDomain", True, False]}, "clients can go around the edge"
    patterns = [each["Parameters"]["DomainName"]["AllowedPattern"].lstrip("|") for each in (edge, service)]
    assert patterns[0] == patterns[1], patterns
    # An origin of that name would be the distribution itself.
    assert origin["DomainName"] == {"Ref": "ApiTarget"}, origin["DomainName"]
    print("the API's own domain has the name that the distribution passes on")


def check_methods() -> None:
    events = service["Resources"]["Function"]["Properties"]["Events"].values()
    used = {event["Properties"]["Method"] for event in events} | {"OPTIONS"}
    assert used <= set(behavior["AllowedMethods"]), used
    assert behavior["ViewerProtocolPolicy"] == "https-only", behavior
    connection = origin["CustomOriginConfig"]
    assert connection["OriginProtocolPolicy"] == "https-only", connection
    assert connection["OriginReadTimeout"] > service["Parameters"]["Timeout"]["MaxValue"], connection
    print("the distribution passes on all methods, over HTTPS only, and waits as long as the API")


def check_secret() -> None:
    assert header["HeaderValue"] == {"Fn::Sub": "{{resolve:secretsmanager:${EdgeSecretArn}}}"}, header
    (read,) = re.findall(r'const SECRET: &str = "(.+)";', open("src/http/edge.rs").read())
    assert header["HeaderName"] == read, (header, read)
    print("the service reads the header that the distribution adds")


check_names()
check_methods()
check_secret()
