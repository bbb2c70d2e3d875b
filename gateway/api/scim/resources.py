"""What of RFC 7643 is kept here, as the Schemas endpoint says it: these models and nothing else.

``displayName`` and ``active`` are marked as required because a person always has both: they cannot be
removed. A request that leaves them out is taken all the same, and they get their usual value (see
``names``).
"""

from typing import Annotated, Any

from pydantic import Field
from scim2_models import (
    URN,
    CaseExact,
    ComplexAttribute,
    Extension,
    Mutability,
    Reference,
    Required,
    Resource,
    Uniqueness,
)
from scim2_models.resources.resource import AnyExtension

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


class Name(ComplexAttribute):
    """The parts of a person's name."""

    formatted: str | None = Field(
        default=None, description="The whole name; the same as displayName. Shown beside one of the parts."
    )
    family_name: str | None = Field(default=None, description="The family name.")
    given_name: str | None = Field(default=None, description="The given name.")


class Email(ComplexAttribute):
    """An e-mail address."""

    value: str | None = Field(default=None, description="The address.")
    type: str | None = Field(default=None, examples=["work"], description="Always work.")


class Membership(ComplexAttribute):
    """A group that a person belongs to."""

    value: Annotated[str | None, Mutability.read_only, CaseExact.true] = Field(
        default=None, description="The group's id."
    )
    ref: Annotated[Reference["Group"] | None, Mutability.read_only] = Field(
        default=None, serialization_alias="$ref", validation_alias="$ref", description="Where the group is."
    )


class User(Resource[AnyExtension]):
    """A person who works here."""

    __schema__ = URN(USER)

    user_name: Annotated[str | None, Uniqueness.server, Required.true] = Field(
        default=None, description="The name by which the identity provider knows the person."
    )
    display_name: Annotated[str | None, Required.true] = Field(
        default=None, description="As it is shown to HR and guards. Left out: made of the other names."
    )
    name: Name | None = Field(default=None, description="The parts of the person's name.")
    title: str | None = Field(default=None, description="The person's title.")
    active: Annotated[bool | None, Required.true] = Field(
        default=None, description="False: refused at every door. Left out: true."
    )
    emails: list[Email] | None = Field(default=None, description="One address is kept, of the type work.")
    groups: Annotated[list[Membership] | None, Mutability.read_only] = Field(
        default=None, description="The access profiles that the person holds."
    )


class EnterpriseUser(Extension):
    """What an employer knows of a person."""

    __schema__ = URN(ENTERPRISE)

    employee_number: Annotated[str | None, Uniqueness.server] = Field(
        default=None,
        description="The staff number. Left out: the externalId, else the userName, and not shown.",
    )
    department: str | None = Field(default=None, description="The department.")


class Member(ComplexAttribute):
    """Somebody who belongs to a group."""

    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = Field(
        default=None, description="The person's id."
    )
    ref: Annotated[Reference["User"] | None, Mutability.immutable] = Field(  # type: ignore[type-arg]
        default=None, serialization_alias="$ref", validation_alias="$ref", description="Where the person is."
    )
    type: Annotated[str | None, Mutability.immutable] = Field(
        default=None, examples=["User"], description="Always User."
    )


class Group(Resource[Any]):
    """An access profile: who holds it may pass its access points."""

    __schema__ = URN(GROUP)

    display_name: Annotated[str | None, Required.true] = Field(
        default=None, description="The profile's name."
    )
    members: list[Member] | None = Field(default=None, description="Who holds it.")


Person: Any = User.__class_getitem__(EnterpriseUser)
