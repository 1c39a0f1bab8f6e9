# `ner`, train.py and evaluate.py in an image; docs/containers.md says how to use it.
#   docker build --tag ner .                                                                          for CPUs
#   docker build --tag ner --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .           for NVIDIA GPUs

# The packages are installed in a stage of their own: pip and its leavings do not come into the image.
FROM debian:bookworm-slim AS packages
# No versions of Debian's packages: the archive has the newest alone, with its security fixes.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/ner
ENV PATH=/opt/ner/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY constraints.txt pyproject.toml ./
# torch itself from its own index and no other: a name that is wrong ends the build, and is not made good by PyPI's
# build for CUDA. What that torch needs (for a GPU, CUDA's libraries) may come from either.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --constraint constraints.txt --no-deps --index-url "$TORCH_INDEX" torch \
    && pip install --constraint constraints.txt --extra-index-url "$TORCH_INDEX" torch
# What pyproject.toml asks for, before the sources come: a changed source installs none of it again. PEP 517 for
# seqeval, which comes as sources: Debian's pip would build it in an older way, which fails with the setuptools of
# constraints.txt.
ARG EXTRAS=report,serve,baseline
RUN python -c "import sys, tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = [project['optional-dependencies'][name] for name in sys.argv[1].split(',') if name]; \
print(*project['dependencies'], *sum(extras, []), sep='\n')" "$EXTRAS" > requirements.txt \
    && pip install --constraint constraints.txt --use-pep517 --requirement requirements.txt
COPY LICENSE README.md evaluate.py setup.py train.py ./
COPY ner ner
RUN pip install --no-deps .

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --home-dir /cache --no-create-home ner \
    && install --directory --mode 1777 /cache /data
COPY --from=packages /opt/ner /opt/ner
WORKDIR /app
COPY evaluate.py train.py ./
COPY launch launch
RUN chmod -R a+rX /app
# Whoever the user is (`--user`), its home is the cache: models and data sets of the Hub, and what libraries keep.
ENV PATH=/opt/ner/bin:$PATH HOME=/cache HF_HOME=/cache/huggingface USER=ner LANG=C.UTF-8 PYTHONUNBUFFERED=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000
VOLUME ["/data", "/cache"]
# tini is process 1, where a program that takes no signals could not be stopped; container.sh is for those of
# `accelerate launch`.
ENTRYPOINT ["tini", "--", "bash", "/app/launch/container.sh"]
CMD ["ner", "--help"]
