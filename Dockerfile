# The relay as one static binary on an empty image: docs/image.md.
#
# It is cross compiled: the builder runs on the platform that builds, whatever the platform that is built for. Emulated, the same
# compilation takes many times as long.
# A tag is a name that somebody can move. Whoever publishes gives the image with its digest:
# `--build-arg RUST_IMAGE=docker.io/library/rust:1.95.0-slim-trixie@sha256:...`; docs/image.md has the command that finds it.
ARG RUST_IMAGE=docker.io/library/rust:1.95.0-slim-trixie
FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS builder
ARG TARGETARCH

# SQLite, the TLS library and the allocator are C. Debian has musl for each architecture and a compiler for each.
RUN set -eu; \
    case "$TARGETARCH" in \
      amd64) cpu=x86_64 ;; \
      arm64) cpu=aarch64 ;; \
      *) echo "there is no recipe for $TARGETARCH, only for amd64 and arm64" >&2; exit 1 ;; \
    esac; \
    dpkg --add-architecture "$TARGETARCH"; \
    apt-get update -qq; \
    apt-get install -y -qq --no-install-recommends ca-certificates "musl-dev:$TARGETARCH" \
      "gcc-$(echo "$cpu" | tr _ -)-linux-gnu"; \
    rm -rf /var/lib/apt/lists/*; \
    rustup target add "$cpu-unknown-linux-musl"; \
    printf '[build]\ntarget = "%s"\n[target.%s]\nlinker = "%s"\n[env]\nTARGET_CC = "%s"\n' \
      "$cpu-unknown-linux-musl" "$cpu-unknown-linux-musl" "$cpu-linux-gnu-gcc" "$cpu-linux-musl-gcc" \
      >>"$CARGO_HOME/config.toml"

# Writes the list of crates into the binary, so that a scanner finds what is known of them: trivy, grype, `cargo audit bin`. It runs
# here, so it is compiled for here.
ARG CARGO_AUDITABLE_VERSION=0.7.7
RUN cargo install --locked --quiet --target "$(rustc -vV | sed -n 's/^host: //p')" "cargo-auditable@${CARGO_AUDITABLE_VERSION}"

# The dependencies, in a layer that lasts until Cargo.lock changes: compiled for a program that does nothing.
WORKDIR /relay
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
RUN set -eu; \
    mkdir -p src benches/relay benches/rules tests/relay; \
    for file in src/main.rs benches/relay/main.rs benches/rules/main.rs tests/relay/main.rs; do echo 'fn main() {}' >"$file"; done; \
    touch src/lib.rs; \
    cargo auditable build --locked --profile image --bin wiza-relay; \
    rm -r src

COPY routes.yaml ./
COPY samples samples
COPY src src
RUN set -eu; \
    find src -exec touch {} +; \
    cargo auditable build --locked --profile image --bin wiza-relay; \
    mkdir -p /out/state; \
    mkdir -m 700 /out/state/wiza-relay; \
    cp target/*/image/wiza-relay /out/

# What it takes from the builder can come from a folder too: `--target image --build-context builder=FOLDER`. So
# tests/relay/image.rs builds it.
FROM scratch AS image
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=builder /out/wiza-relay /usr/local/bin/
# A new volume takes over owner and mode, so that the relay may write to it. It writes nowhere else, temporary files included.
COPY --from=builder --chown=65532:65532 /out/state/ /var/lib/

ENV PATH=/usr/local/bin \
    WIZA_RELAY_CONFIG=/etc/wiza-relay/routes.yaml \
    WIZA_RELAY_STORE=/var/lib/wiza-relay \
    WIZA_RELAY_LISTEN=0.0.0.0:8080 \
    WIZA_RELAY_ADMIN=0.0.0.0:9090 \
    WIZA_RELAY_LOG_FORMAT=json \
    TMPDIR=/var/lib/wiza-relay
# By number: there is no /etc/passwd, and Kubernetes can see that it is not root.
USER 65532:65532
VOLUME ["/var/lib/wiza-relay"]
WORKDIR /var/lib/wiza-relay
EXPOSE 8080 9090
ENTRYPOINT ["wiza-relay"]
CMD ["serve"]

# Last: they differ from build to build.
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="wiza-relay" \
      org.opencontainers.image.description="Receives Wiza's webhooks durably and forwards them, by rules in one YAML file, to several places at once" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
