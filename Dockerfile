# The service and its checkpoints, nothing else: no torch, no compiler, no shell needed at run time.
FROM python:3.11-slim AS build
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE tools/sbom.py ./
COPY service service
RUN python -m venv /opt/latent \
 && /opt/latent/bin/python -m pip install --no-cache-dir --no-compile --constraint constraints.txt '.[tracing]' \
 && /opt/latent/bin/python -m pip uninstall --yes pip setuptools \
 && rm /opt/latent/bin/latent-train \
 && python -m pip install --no-cache-dir --constraint constraints.txt cyclonedx-python-lib \
 && python sbom.py /opt/latent/lib/python3.11/site-packages > /opt/latent/sbom.cdx.json

FROM python:3.11-slim
COPY --from=build /opt/latent /opt/latent
COPY checkpoints /srv/checkpoints
WORKDIR /srv
USER 10001:10001
ENV LATENT_HOST=0.0.0.0 LATENT_CHECKPOINTS=/srv/checkpoints PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
STOPSIGNAL SIGTERM
CMD ["/opt/latent/bin/python", "-m", "service"]
