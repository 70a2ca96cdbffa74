# One image for every role: `up` (everything, with the embedded Valkey), `web`, `worker`, `clock`, and the commands.
# Runs with a read-only root file system, given a writable /data and /tmp. To pin the base by its content:
#   docker build --build-arg BASE=python:3.13-slim-bookworm@sha256:… .
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ONLY_BINARY=:all: \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# Without pip inside: what runs cannot install anything.
RUN python -m venv --without-pip /opt/swiftia-receiver \
    && python -m venv /opt/build
# With spans for OpenTelemetry: --build-arg LOCK=tracing
ARG LOCK=run
COPY requirements/run.txt requirements/tracing.txt requirements/build.txt requirements/
RUN pip --python /opt/swiftia-receiver/bin/python install --require-hashes -r requirements/${LOCK}.txt \
    && /opt/build/bin/pip install --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY receiver receiver
COPY workers workers
RUN /opt/build/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
    && pip --python /opt/swiftia-receiver/bin/python install --no-index --no-deps /wheels/*.whl

FROM ${BASE}
LABEL org.opencontainers.image.title="swiftia-receiver" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 receiver \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin receiver \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /opt/swiftia-receiver /opt/swiftia-receiver
ENV PATH=/opt/swiftia-receiver/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/data \
    HOST=0.0.0.0 \
    PORT=8000
WORKDIR /data
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
VOLUME /data
EXPOSE 8000
# A stop takes up to GRACE_SECONDS and 10 s for the workers and again for the web: docker run --stop-timeout 120.
STOPSIGNAL SIGTERM
# For `up` and `web`; switch it off for the roles that listen nowhere.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["swiftia-receiver"]
CMD ["up"]
