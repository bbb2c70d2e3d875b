"""The description of the API: complete, valid, and the one in the repository."""

from pathlib import Path

import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from gateway.api.catalogue import openapi_yaml
from gateway.domain.accounts import Role

KEPT = Path(__file__).parents[3] / "schemas" / "openapi.yaml"


def test_the_file_is_what_is_served():
    assert KEPT.read_text("utf-8") == openapi_yaml(), "run `facegate openapi > schemas/openapi.yaml`"


def test_it_is_a_valid_openapi_document():
    validate(yaml.safe_load(openapi_yaml()), cls=OpenAPIV31SpecValidator)


def test_every_operation_says_who_may_call_it():
    for path, methods in yaml.safe_load(openapi_yaml())["paths"].items():
        for method, said in methods.items():
            if said["security"]:
                assert set(said["x-roles"]) <= set(Role), (method, path)
                assert said["x-roles"], (method, path)
            else:
                assert "x-roles" not in said


def test_every_change_is_refused_to_auditors_and_guards():
    for path, methods in yaml.safe_load(openapi_yaml())["paths"].items():
        for method, said in methods.items():
            if method in {"post", "put", "patch", "delete"} and said["security"] and "session" not in path:
                assert "auditor" not in said["x-roles"], (method, path)
