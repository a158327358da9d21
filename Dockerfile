FROM python:3.13-slim AS build
WORKDIR /app
COPY requirements.txt requirements-curl.txt ./
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements.txt
# Where no wheel of pycurl fits, postbacks are sent by requests.
RUN /venv/bin/pip install --no-cache-dir --require-hashes --no-deps --only-binary :all: -r requirements-curl.txt || true
COPY . .
RUN DATA_DIR=/tmp/build /venv/bin/python manage.py collectstatic --noinput

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home postbacks && install -d -o postbacks /data
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
USER postbacks
ENV DATA_DIR=/data PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
CMD ["gunicorn", "--bind=0.0.0.0:8000"]
