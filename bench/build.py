"""How long `docker build` of ten steps takes, cold and cached, by the classic builder: podling, dockerd, in turn."""

import tempfile
from pathlib import Path

import engines

ROUNDS = 5
DOCKERFILE = """
FROM busybox
ARG VERSION=1
ENV PLACE=/srv
WORKDIR /srv
COPY site /srv/site
RUN echo $VERSION > version
RUN mkdir -p data && cp -r site data
RUN find . -type f | xargs md5sum > sums
COPY start /bin/start
CMD ["/bin/start"]
"""
FILES = 200


def main() -> None:
    with engines.both() as both, tempfile.TemporaryDirectory(prefix="podling-bench-") as name:
        context = Path(name)
        (context / "site").mkdir()
        (context / "Dockerfile").write_text(DOCKERFILE)
        (context / "start").write_text("#!/bin/sh\nexec httpd -f -h /srv/site\n")
        for number in range(FILES):
            (context / f"site/{number}.html").write_text(f"<p>page {number}</p>\n" * 50)
        measured = {
            "cold": engines.alternate(both, lambda engine: engine.docker("build", "-q", "--no-cache", name), ROUNDS),
            "cached": engines.alternate(both, lambda engine: engine.docker("build", "-q", name), ROUNDS),
        }
    engines.show(f"docker build of ten steps; median of {ROUNDS}, in turn", measured)


if __name__ == "__main__":
    main()
