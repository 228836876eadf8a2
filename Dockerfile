# The bot as an image: docs/deploy/docker.md. The Python is that of .python-version.
FROM python:3.11-slim-trixie AS install
WORKDIR /build
COPY requirements.txt .
# Wheels alone, each with a known hash: no code of a package runs here. The venv has no pip of its own.
RUN python -m venv --without-pip /venv \
    && python -m pip --python /venv/bin/python install --quiet --no-cache-dir --disable-pip-version-check \
        --only-binary :all: --require-hashes -r requirements.txt

FROM python:3.11-slim-trixie
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    DATABASE_URL=sqlite:////data/imagine.db \
    PORT=8080
RUN useradd --uid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin imagine \
    && install --directory --mode 700 --owner imagine --group imagine /data
WORKDIR /app
COPY --from=install /venv /venv
COPY . .
RUN python -m compileall -q .
USER 10001:10001
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", "import http.client, os, sys; call = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); call.request('GET', '/healthz'); sys.exit(call.getresponse().status != 200)"]
CMD ["python", "bot.py"]
