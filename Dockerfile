# The pipeline with all that it needs: `docker build -t ssul .`, then `docker run -it ssul` runs the default experiment.
# The libraries are those of constraints.txt, because `make setup` installs them here as everywhere.
FROM python:3.11-slim AS tools

# git for DVC; make; what the tests of the page and of sharing over SSH drive
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends chromium git make openssh-client openssh-server \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home ssul \
    && install -d -o ssul -g ssul /home/ssul/project
USER ssul
WORKDIR /home/ssul/project

FROM tools AS project
COPY --chown=ssul:ssul . .
RUN make setup
ENV PATH=/home/ssul/project/.venv/bin:$PATH
CMD ["make", "repro"]
