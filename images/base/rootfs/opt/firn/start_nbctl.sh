#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Starts the notebook server: start_nbctl.sh CONTROL_DIRECTORY, called from the working directory of the image.
# From the environment, all with defaults:
#   FIRN_NOTEBOOK_ROOT    directory that is served (/filesystem)
#   FIRN_NOTEBOOK_PREFIX  path prefix under which the proxy publishes the server (/)
#   FIRN_NOTEBOOK_PORT    port (9888)
#   JUPYTER_TOKEN         read by Jupyter itself; unset means a random one
# Kernels listen on unix sockets: nothing else in the container's network can talk to them.
set -eu
mkdir -p "${1:-/shared/nbctl}" "${FIRN_NOTEBOOK_ROOT:=/filesystem}"
exec jupyter-notebook --allow-root --no-browser --ip=0.0.0.0 --port="${FIRN_NOTEBOOK_PORT:-9888}" \
	--ServerApp.port_retries=0 \
	--ServerApp.base_url="${FIRN_NOTEBOOK_PREFIX:-/}" \
	--ServerApp.root_dir="$FIRN_NOTEBOOK_ROOT" \
	--ServerApp.allow_remote_access=True \
	--ServerApp.trust_xheaders=True \
	--KernelManager.transport=ipc
