from __future__ import annotations

import pytest

from adaptation.body import Body
from adaptation.domains.dataset import Domain, DomainSettings, make_domain


@pytest.fixture(scope="session")
def body() -> Body:
    return Body.free()


@pytest.fixture(scope="session")
def source() -> Domain:
    return make_domain(DomainSettings("source", "train", 24, 48))


@pytest.fixture(scope="session")
def target() -> Domain:
    return make_domain(DomainSettings("style", "adapt", 24, 48))
