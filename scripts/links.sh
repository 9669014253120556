#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every relative link and image in the Markdown files leads to a file that exists.
set -euo pipefail
cd "$(dirname "$0")/.."
broken=0
while IFS= read -r file; do
	while IFS= read -r target; do
		case $target in http*://* | mailto:* | '#'*) continue ;; esac
		path=$(dirname "$file")/${target%%#*}
		[ -e "$path" ] || { echo "$file: broken link $target"; broken=1; }
	done < <(grep -oE '\]\([^) ]+\)' "$file" | sed 's/^](//; s/)$//')
done < <(git ls-files '*.md')
exit $broken
