#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Copies Ray's logs to where the platform collects them. The job scripts have cron run this every minute.
[ -d /tmp/ray/session_latest/logs ] || exit 0
mkdir -p /var/log/managedservices/system/ray
cp -rLu /tmp/ray/session_latest/logs/. /var/log/managedservices/system/ray/ 2>/dev/null
exit 0
