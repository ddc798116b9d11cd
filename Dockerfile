FROM python:3.12.8-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /srv/barwheel

# Before the sources are copied, so that a change of code does not install all dependencies again.
COPY requirements.lock ./
RUN pip install --quiet --require-hashes -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY agents agents
COPY tables tables
COPY migrations migrations
RUN pip install --quiet --no-deps --no-build-isolation . \
    && useradd --system --uid 10001 --home-dir /var/lib/barwheel --create-home barwheel

# A worker writes its local files (Faust's data directory, .barwheel) to the user's home directory.
WORKDIR /var/lib/barwheel
USER barwheel

# On SIGTERM a worker writes its last checkpoint before it exits. `docker run IMAGE doctor` runs another command.
STOPSIGNAL SIGTERM
ENTRYPOINT ["app"]
CMD ["worker", "--loglevel", "info"]
