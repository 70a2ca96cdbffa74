# One image for every role: `up` (everything, with the embedded Valkey), `web`, `worker`, `clock`, and the commands.
# Runs with a read-only root file system, given a writable /data and /tmp. deploy/containers.md tells how to build and
# run it; `make prove-image` builds it twice, compares the layers, and carries a job through it.
ARG BASE=python:3.13-slim-bookworm
# The digest of that base, sha256:…, so that the same base is taken next year. Empty: whatever the tag is now.
ARG BASE_DIGEST=

FROM ${BASE}${BASE_DIGEST:+@${BASE_DIGEST}} AS build
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
COPY requirements/run.txt requirements/tracing.txt requirements/build.txt requirements/sbom.txt requirements/
# The secret is for who has an index of their own: --secret id=pip,src=FILE in pip's own format. It leaves no trace.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /opt/build/bin/pip --python /opt/swiftia-receiver/bin/python install --no-compile --require-hashes -r requirements/${LOCK}.txt \
    && /opt/build/bin/pip install --require-hashes -r requirements/build.txt -r requirements/sbom.txt
COPY pyproject.toml README.md LICENSE ./
COPY receiver receiver
COPY workers workers
# Compiled once, by what a file says and not by when it was written, and with sets in one order: two builds are the same.
# Metadata of how pip came by a file is left out: the wheel of the project lies where nobody else will find it.
RUN /opt/build/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/build/bin/pip --python /opt/swiftia-receiver/bin/python install --no-compile --no-index --no-deps /wheels/*.whl \
    && rm /opt/swiftia-receiver/lib/python3*/site-packages/swiftia_receiver-*.dist-info/direct_url.json \
    && sed -i '/direct_url\.json/d' /opt/swiftia-receiver/lib/python3*/site-packages/swiftia_receiver-*.dist-info/RECORD \
    && PYTHONHASHSEED=0 /opt/swiftia-receiver/bin/python -m compileall -q -f -j 1 --invalidation-mode unchecked-hash /opt/swiftia-receiver/lib \
    && /opt/build/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml --mc-type application \
        --output-format JSON --output-file /opt/swiftia-receiver/sbom.cdx.json /opt/swiftia-receiver/bin/python

FROM ${BASE}${BASE_DIGEST:+@${BASE_DIGEST}}
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="swiftia-receiver" \
      org.opencontainers.image.description="The callback target for jobs submitted to the Swiftia API" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# By hand: useradd writes down the day on which it ran.
RUN echo "receiver:x:10001:" >>/etc/group \
    && echo "receiver:x:10001:10001::/data:/usr/sbin/nologin" >>/etc/passwd \
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
