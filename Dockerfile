FROM python:3.12.8-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /srv/barwheel

# before the sources, so that a change of code does not install everything anew
COPY requirements.lock ./
RUN pip install --quiet --require-hashes -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY agents agents
COPY tables tables
COPY migrations migrations
RUN pip install --quiet --no-deps --no-build-isolation . \
    && useradd --system --uid 10001 --home-dir /var/lib/barwheel --create-home barwheel

# what a worker writes (Faust's data directory, .barwheel) goes to the user's own directory
WORKDIR /var/lib/barwheel
USER barwheel

# TERM lets the worker write its last checkpoint before it goes
STOPSIGNAL SIGTERM
ENTRYPOINT ["faust", "-A", "app", "worker"]
CMD ["--loglevel", "info"]
