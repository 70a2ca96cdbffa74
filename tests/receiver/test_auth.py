import pytest

from receiver.app import create_app

ROUTES = [
    ("POST", "/api/jobs"),
    ("GET", "/api/jobs"),
    ("GET", "/api/jobs/job_1"),
    ("PUT", "/api/jobs/job_1"),
    ("DELETE", "/api/jobs/job_1"),
    ("GET", "/api/jobs/job_1/result"),
    ("GET", "/api/jobs/job_1/renders/1/file"),
    ("GET", "/api/jobs/job_1/callbacks/rc1"),
    ("GET", "/api/jobs/job_1/events"),
    ("GET", "/api/events"),
    ("POST", "/api/jobs/job_1/retry"),
    ("POST", "/api/jobs/retry?state=parked"),
    ("POST", "/api/jobs/job_1/deliveries/1/retry"),
    ("POST", "/api/deliveries/retry?state=parked"),
    ("POST", "/api/callbacks"),
    ("GET", "/api/budget"),
    ("GET", "/api/workers"),
    ("GET", "/api/storage"),
]
ADMIN = "an-admin-token-of-tests"
VIEWER = "a-viewer-token-of-tests"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", ADMIN, f"Basic {ADMIN}", "Bearer \xe4"]
)
def test_nothing_of_the_api_is_open(client, redis, header):
    headers = {} if header is None else {"Authorization": header}
    for method, path in ROUTES:
        answer = client.open(path, method=method, headers=headers, json={})
        assert answer.status_code == 401, (method, path)
        assert answer.content_type == "application/problem+json"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert ADMIN not in answer.text
        assert redis.dbsize() == 0, (method, path)


def test_every_route_of_the_api_is_on_this_list(app):
    routes = {rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api")}
    assert len(routes) == len({path.partition("?")[0] for _, path in ROUTES})


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_the_viewer_token_is_for_looking(build_services, method, path):
    client = create_app(build_services(VIEWER_TOKEN=VIEWER)).test_client()
    answer = client.open(path, method=method, headers={"Authorization": f"Bearer {VIEWER}"}, json={})
    if method == "GET":
        assert answer.status_code not in (401, 403)
    else:
        assert (answer.status_code, answer.json["type"]) == (403, "/problems/read-only")


def test_the_viewer_token_reads_the_metrics(build_services):
    client = create_app(build_services(VIEWER_TOKEN=VIEWER)).test_client()
    assert client.get("/metrics", headers={"Authorization": f"Bearer {VIEWER}"}).status_code == 200


@pytest.mark.parametrize("header", [f"Bearer {ADMIN}", f"bearer {ADMIN}", f"Bearer  {ADMIN} "])
def test_the_token_lets_in(client, header):
    assert client.get("/api/budget", headers={"Authorization": header}).status_code == 200
