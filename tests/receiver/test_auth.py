import pytest

ROUTES = [
    ("POST", "/api/jobs"),
    ("GET", "/api/jobs"),
    ("GET", "/api/jobs/job_1"),
    ("PUT", "/api/jobs/job_1"),
    ("DELETE", "/api/jobs/job_1"),
    ("GET", "/api/jobs/job_1/result"),
    ("GET", "/api/jobs/job_1/renders/1/file"),
    ("GET", "/api/jobs/job_1/callbacks/rc1"),
    ("POST", "/api/jobs/job_1/retry"),
    ("POST", "/api/jobs/retry?state=parked"),
    ("POST", "/api/callbacks"),
    ("GET", "/api/budget"),
]
ADMIN = "an-admin-token-of-tests"


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", ADMIN, f"Basic {ADMIN}", "Bearer \xe4"]
)
def test_nothing_of_the_api_is_open(client, redis, method, path, header):
    headers = {} if header is None else {"Authorization": header}
    answer = client.open(path, method=method, headers=headers, json={})
    assert answer.status_code == 401
    assert answer.content_type == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert ADMIN not in answer.text
    assert redis.dbsize() == 0


def test_every_route_of_the_api_is_on_this_list(app):
    routes = {rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api")}
    assert len(routes) == len({path.partition("?")[0] for _, path in ROUTES})


@pytest.mark.parametrize("header", [f"Bearer {ADMIN}", f"bearer {ADMIN}", f"Bearer  {ADMIN} "])
def test_the_token_lets_in(client, header):
    assert client.get("/api/budget", headers={"Authorization": header}).status_code == 200
