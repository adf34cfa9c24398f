"""Checks that the distribution of examples/edge/template.yaml fits the API of template.yaml.

The managed policy that adds the viewer's headers and passes on Authorization also passes on Host. So API Gateway sees
the name that the client called, and answers 403 unless the API has a custom domain of that name."""

import json
import re

from cloudformation import failed_rules, of_type, read, resolved, translated

CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER_AND_CLOUDFRONT_HEADERS = "33f36d7e-f396-46d9-90e0-52428a34d9dc"
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:sessions/dev/edge-1-a1b2c3"
WEB_ACL = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/firewall/0123"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
# The same parameters of both stacks have the same values.
BOTH = {"DomainName": "sessions.example.com", "EdgeSecretArn": SECRET, "CertificateArn": CERTIFICATE}
SERVICE = BOTH | {"JwtSecretArn": SECRET, "EdgeOnly": "true"}
EDGE = BOTH | {"ApiTarget": "d-0123456789.execute-api.eu-central-1.amazonaws.com"}

service = resolved(translated("template.yaml", SERVICE), SERVICE)["Resources"]
edge = read("examples/edge/template.yaml")


def distribution(parameters: dict) -> dict:
    return resolved(edge, parameters)["Resources"]["Distribution"]["Properties"]["DistributionConfig"]


config = distribution(EDGE)
behavior = config["DefaultCacheBehavior"]
(origin,) = config["Origins"]


def check_names() -> None:
    assert behavior["CachePolicyId"] == CACHING_DISABLED, behavior
    assert behavior["OriginRequestPolicyId"] == ALL_VIEWER_AND_CLOUDFRONT_HEADERS, behavior
    (domain,) = of_type(service, "AWS::ApiGatewayV2::DomainName").values()
    assert config["Aliases"] == [domain["Properties"]["DomainName"]], (config["Aliases"], domain)
    (server,) = service["Api"]["Properties"]["Body"]["servers"]
    endpoint = server["x-amazon-apigateway-endpoint-configuration"]
    assert endpoint["disableExecuteApiEndpoint"] is True, "clients can go around the edge"
    # The target of the API's domain. By the name itself CloudFront would find only itself.
    assert origin["DomainName"] == EDGE["ApiTarget"], origin
    print("the API has a domain of the name that the distribution passes on")


def check_requests() -> None:
    methods = {method.upper() for path in service["Api"]["Properties"]["Body"]["paths"].values() for method in path}
    assert methods | {"OPTIONS"} <= set(behavior["AllowedMethods"]), methods
    assert behavior["ViewerProtocolPolicy"] == "https-only", behavior
    connection = origin["CustomOriginConfig"]
    assert connection["OriginProtocolPolicy"] == "https-only", connection
    assert connection["OriginReadTimeout"] > read("template.yaml")["Parameters"]["Timeout"]["MaxValue"], connection
    print("the distribution passes on every method, over HTTPS only, and waits as long as the API")


def check_secret() -> None:
    (header,) = origin["OriginCustomHeaders"]
    environment = service["Function"]["Properties"]["Environment"]["Variables"]
    assert header["HeaderValue"] == environment["EDGE_SECRET"] == f"{{{{resolve:secretsmanager:{SECRET}}}}}", header
    assert environment["EDGE_ONLY"] == "true", environment
    (name,) = re.findall(r'const SECRET: &str = "(.+)";', open("src/http/edge.rs").read())
    assert header["HeaderName"] == name, (header, name)
    for parameters in ({"EdgeOnly": "true"}, {"EdgePreviousSecretArn": SECRET}):
        assert failed_rules(read("template.yaml"), SERVICE | {"EdgeSecretArn": "", "EdgeOnly": "false"} | parameters)
    print("the service knows the secret that the distribution adds, and the header")


def check_firewall() -> None:
    assert "WebACLId" not in config and distribution(EDGE | {"WebAclArn": WEB_ACL})["WebACLId"] == WEB_ACL
    patterns = json.dumps(edge["Parameters"])
    assert patterns.count("us-east-1") >= 2, "CloudFront takes certificates and web ACLs of us-east-1 only"
    print("a web ACL is optional")


check_names()
check_requests()
check_secret()
check_firewall()
