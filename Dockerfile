# The two images: `operator` (the control plane, not root) and `lb` (skylane-fwd and skylane-agent).
#
#   docker build --target operator -t skylane/operator:0.1.0 .
#   docker build --target lb -t skylane/lb:0.1.0 .
#
# What changes often comes last: packages, then locked Python dependencies, then our Python, then the forwarder.
# SSL_CERT_FILE and PIP_CERT, given with --build-arg, reach the build stages only: nothing of them is in an image.

FROM debian:trixie-slim AS python
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/*

FROM python AS python-build
ARG SSL_CERT_FILE
ARG PIP_CERT
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir uv==0.13.9 hatchling==1.28.0
ENV PATH=/opt/build/bin:$PATH UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1 UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
WORKDIR /src

FROM python-build AS operator-dependencies
ARG SSL_CERT_FILE
COPY pyproject.toml uv.lock ./
RUN uv export --frozen --no-dev --no-emit-project --output-file /requirements.txt --quiet \
 && uv venv --python /usr/bin/python3 /opt/skylane \
 && uv pip install --python /opt/skylane/bin/python --only-binary :all: -r /requirements.txt

# The agent needs the stream, its messages and the models; what only the operator imports is pruned, with all
# that hangs on it. The import in stage `lb` fails when this list is wrong.
FROM python-build AS agent-dependencies
ARG SSL_CERT_FILE
COPY pyproject.toml uv.lock ./
RUN uv export --frozen --no-dev --no-emit-project --output-file /requirements.txt --quiet \
        --prune aiohttp --prune cryptography --prune jinja2 --prune kopf --prune kubernetes \
        --prune prometheus-client --prune pyyaml \
 && uv venv --python /usr/bin/python3 /opt/skylane \
 && uv pip install --python /opt/skylane/bin/python --only-binary :all: -r /requirements.txt

# Our three packages alone, installed under the path that the final images use. Each image takes its own two and the
# version; so a change of the operator leaves the image `lb` as it was.
FROM python-build AS code
COPY pyproject.toml ./
COPY lb_image/api/src lb_image/api/src
COPY lb_image/agent/src lb_image/agent/src
COPY operator/src operator/src
RUN touch README.md \
 && uv venv --python /usr/bin/python3 /opt/skylane \
 && python -m hatchling build --target wheel --directory /wheel \
 && uv pip install --python /opt/skylane/bin/python --no-deps /wheel/*.whl \
 && mkdir /out \
 && cp -a /opt/skylane/bin /opt/skylane/lib/python3.*/site-packages/* /out/

FROM debian:trixie-slim AS forwarder
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
        gcc libc6-dev libcmocka-dev libdpdk-dev libjansson-dev libpcap-dev meson ninja-build pkg-config \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY lb_image/forwarder .
RUN meson setup /build --buildtype=release \
 && ninja -C /build dpdk/skylane-fwd \
 && strip -o /skylane-fwd /build/dpdk/skylane-fwd

FROM python AS operator
COPY --from=operator-dependencies /opt/skylane /opt/skylane
COPY --from=code /out/skylane-0.1.0.dist-info/METADATA /opt/skylane/lib/python3.13/site-packages/skylane-0.1.0.dist-info/
COPY --from=code /out/skylane_api /opt/skylane/lib/python3.13/site-packages/skylane_api
COPY --from=code /out/skylane_operator /opt/skylane/lib/python3.13/site-packages/skylane_operator
COPY --from=code /out/bin/skylane-operator /opt/skylane/bin/
ENV PATH=/opt/skylane/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN python -c 'import skylane_operator.__main__'
USER 65532:65532
ENTRYPOINT ["skylane-operator"]

FROM python AS lb
# DPDK's core libraries, the memory pool it cannot do without, and one driver a way to a NIC: kernel interfaces
# (af_packet, af_xdp), virtual functions of Intel (e1000: igb, ixgbe, iavf: 700 and 800 series) and Mellanox
# (mlx5 with its verbs provider), of clouds and virtual machines (ena, gve, virtio, vmxnet3), and the physical
# functions i40e and ice. And the routing daemon, which is a container of its own in the pod; a
# base may lack the policy by which its package does not start it here.
RUN printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d \
 && chmod +x /usr/sbin/policy-rc.d \
 && apt-get update \
 && apt-get install -y --no-install-recommends \
        bird2 ibverbs-providers libjansson4 librte-ethdev25 librte-hash25 librte-mempool-ring25 librte-rcu25 \
        librte-net-af-packet25 librte-net-af-xdp25 librte-net-e1000-25 librte-net-ena25 librte-net-gve25 \
        librte-net-i40e25 librte-net-iavf25 librte-net-ice25 librte-net-ixgbe25 librte-net-mlx5-25 \
        librte-net-virtio25 librte-net-vmxnet3-25 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=agent-dependencies /opt/skylane /opt/skylane
COPY --from=code /out/skylane-0.1.0.dist-info/METADATA /opt/skylane/lib/python3.13/site-packages/skylane-0.1.0.dist-info/
COPY --from=code /out/skylane_api /opt/skylane/lib/python3.13/site-packages/skylane_api
COPY --from=code /out/skylane_agent /opt/skylane/lib/python3.13/site-packages/skylane_agent
COPY --from=code /out/bin/skylane-agent /opt/skylane/bin/
ENV PATH=/opt/skylane/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN python -c 'import skylane_agent.__main__'
COPY --from=forwarder /skylane-fwd /usr/bin/skylane-fwd
RUN skylane-fwd --version
COPY lb_image/bird/start.conf /usr/share/skylane/bird.conf
RUN bird -p -c /usr/share/skylane/bird.conf
CMD ["skylane-agent"]
