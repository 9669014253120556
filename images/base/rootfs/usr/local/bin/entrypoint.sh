#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs its arguments and prints nothing of its own: the output belongs to them. As PID 1 it puts tini in front, which
# hands SIGTERM on to the whole process group; bash as PID 1 would not, and every stop of a job would take ten seconds.
[ $# -gt 0 ] || set -- bash
[ $$ -eq 1 ] && exec tini -g -- "$@"
exec "$@"
