# A classroom: JupyterLab with the chapters and all that they need, and nothing to install on a laptop.
#
#     docker build -t step-by-step .
#     docker run --rm -p 8888:8888 step-by-step
#
# then open the address that it prints. What a reader saves goes with the container, unless a folder is mounted:
# `-v "$PWD/work:/home/reader/work"`. The book is not built here, and no test runs.
FROM python:3.12-slim-bookworm

RUN useradd --create-home --uid 1000 reader
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# What changes seldom comes first, so that a new chapter does not install everything again.
# No GPU in a classroom: PyTorch's page has builds for the CPU, several gigabytes smaller; +cpu takes no other.
COPY requirements.lock /opt/bpa/
RUN sed -i 's/^torch==[0-9.]*/&+cpu/' /opt/bpa/requirements.lock \
    && pip install --find-links https://download.pytorch.org/whl/cpu/torch/ -r /opt/bpa/requirements.lock

COPY pyproject.toml README.md LICENSE MANIFEST.in /opt/bpa/
COPY bpa /opt/bpa/bpa
COPY tools/prepare.py /opt/bpa/tools/
RUN pip install --no-deps --no-build-isolation /opt/bpa

COPY --chown=reader:reader book/chapters/*.ipynb /home/reader/chapters/
USER reader
WORKDIR /home/reader
# The fonts are scanned now: a chapter's first figure would wait for it, and say so.
RUN mkdir work && python /opt/bpa/tools/prepare.py

EXPOSE 8888
# Without a token this page answers everybody, and says nothing but the version.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8888/api', timeout=4)"]
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser", "--LabApp.default_url=/lab/tree/chapters/01_hebb.ipynb"]
