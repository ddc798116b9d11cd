# The native core is compiled in this stage; the image has no compiler.
FROM python:3.12.8-slim-bookworm AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /srv/barwheel
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*

# Before the sources are copied, so that a change of code does not install all dependencies again.
COPY requirements.lock ./
RUN python -m venv /opt/barwheel && /opt/barwheel/bin/pip install --quiet --require-hashes -r requirements.lock

COPY pyproject.toml setup.py README.md LICENSE ./
COPY app app
COPY agents agents
COPY tables tables
COPY migrations migrations
RUN BARWHEEL_BUILD=native /opt/barwheel/bin/pip install --quiet --no-deps --no-build-isolation .

FROM python:3.12.8-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH="/opt/barwheel/bin:$PATH"
COPY --from=build /opt/barwheel /opt/barwheel
RUN useradd --system --uid 10001 --home-dir /var/lib/barwheel --create-home barwheel

# A worker writes its local files (Faust's data directory, .barwheel) to the user's home directory.
WORKDIR /var/lib/barwheel
USER barwheel

# On SIGTERM a worker writes its last checkpoint before it exits. `docker run IMAGE doctor` runs another command.
STOPSIGNAL SIGTERM
ENTRYPOINT ["app"]
CMD ["worker", "--loglevel", "info"]
