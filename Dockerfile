# The operator's image: Python, pgstrata and the libraries that they load, without a shell.
# `make image` makes the wheel in dist/ and builds this. BASE is any Linux with glibc, Python 3.11 or
# newer and its venv module: python:3.13-slim, or Debian with python3-venv.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
# pip's own variables, for an index of one's own or a folder of wheels.
ARG PIP_INDEX_URL PIP_NO_INDEX PIP_FIND_LINKS
COPY requirements/runtime.lock image/collect.py /src/
RUN python3 -m venv /opt/pgstrata \
 && /opt/pgstrata/bin/python3 -m pip install --no-cache-dir --no-compile --require-hashes \
      --requirement /src/runtime.lock
COPY dist/*.whl /src/
RUN /opt/pgstrata/bin/python3 -m pip install --no-cache-dir --no-compile --no-index --no-deps /src/*.whl \
 && /opt/pgstrata/bin/python3 -m pip uninstall --yes pip setuptools \
 && python3 /src/collect.py /opt/pgstrata /rootfs

FROM scratch
COPY --from=build /rootfs /
ENV PATH=/opt/pgstrata/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/opt/pgstrata/bin/python3", "-m", "pgstrata"]
CMD ["run"]
