#!/bin/sh
# What the Lambda Web Adapter starts: the function's handler is this file's name.
cd "${LAMBDA_TASK_ROOT:-$(dirname "$0")}" || exit 1
exec "${SKYFLEET_PYTHON:-python3}" -m functions.runtimes.aws
