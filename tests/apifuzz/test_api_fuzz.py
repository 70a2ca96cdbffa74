"""Every route asked with good and bad requests of every kind: what is answered is what is described."""

import pytest

from tests.apifuzz.ground import ground
from tests.apifuzz.run import fuzz
from workers.valkey import EmbeddedValkey

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.mark.usefixtures("redis")
def test_the_api_is_what_it_says_it_is(tmp_path, valkey_server: EmbeddedValkey):
    with ground(tmp_path, valkey_server.url) as asked:
        found = fuzz(asked, tmp_path, "--max-examples", "5", "--seed", "1")
    assert found.code == 0, found.told
    assert found.idle == {"followAll", "followJob"}  # not asked, see schemathesis.toml
    assert "No issues found" in found.told
    assert "Traceback" not in asked.log.read_text()
