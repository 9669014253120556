// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

// dockerSteps are the commands that snow custom-image validate gives to docker, in its order.
func dockerSteps(image string) [][]string {
	run := []string{"docker", "run", "--rm", "--platform", "linux/amd64"}
	bare := slices.Concat(run, []string{"--entrypoint", "", image})
	return [][]string{
		{"docker", "inspect", image},
		slices.Concat(bare, []string{"test", "-f", "/usr/local/bin/entrypoint.sh"}),
		slices.Concat(run, []string{image, "bash", "-c", "pip list --format json"}),
		slices.Concat(run, []string{image, "bash", "-c", "pip check"}),
		slices.Concat(bare, []string{"test", "-x", "start_nbctl.sh"}),
	}
}

// peers compares a look at the image in the daemon with what others take for it.
func (v *validator) peers(ctx context.Context) ([]measurement, error) {
	cache, err := os.MkdirTemp("", "firn-bench-cache")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(cache)
	image := "docker-daemon:" + validateName
	warm := func() (float64, error) {
		r, err := v.run(ctx, "daemon_cached", cache, image)
		return r.seconds, err
	}
	cold := func() (float64, error) { return v.cold(ctx, "daemon_cold", image) }
	docker := func() (float64, error) {
		return seconds(func() error {
			for _, step := range dockerSteps(validateName) {
				if err := quiet(ctx, step...); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var all []measurement
	compare := func(name, peer string, aim float64, ours, theirs func() (float64, error)) error {
		m, err := paired(name, peer, aim, ours, theirs)
		all = append(all, m)
		return err
	}
	if err := compare("validate_daemon_warm", "its five docker commands", 1.0/5, warm, docker); err != nil {
		return nil, err
	}
	if snow := findSnow(); snow == "" {
		fmt.Fprintln(os.Stderr, "bench validate: snow with custom-image is not at hand: not measured")
	} else {
		run := func() (float64, error) {
			return seconds(func() error { return quiet(ctx, snow, "custom-image", "validate", validateName) })
		}
		if err := compare("validate_snow_warm", "snow custom-image validate", 1.0/10, warm, run); err != nil {
			return nil, err
		}
		if err := compare("validate_snow_cold", "snow custom-image validate", 1, cold, run); err != nil {
			return nil, err
		}
	}
	syft, err := exec.LookPath("syft")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench validate: syft is not at hand: not measured")
		return all, nil
	}
	archive := v.images.archive()
	return all, compare("validate_syft", "syft", 1.0/10, func() (float64, error) { return v.cold(ctx, "archive_cold", "docker-archive:"+archive) },
		func() (float64, error) {
			return seconds(func() error { return quiet(ctx, syft, "scan", "docker-archive:"+archive, "-q", "-o", "json") })
		})
}

// findSnow looks for a snow that has the command.
func findSnow() string {
	for _, name := range []string{"venv-snow", "venv"} {
		snow := filepath.Join(os.Getenv("FIRN_TEST_CLIENTS"), name, "bin/snow")
		if exec.Command(snow, "custom-image", "validate", "--help").Run() == nil {
			return snow
		}
	}
	return ""
}

// quiet runs a program and tells what it said only when it fails.
func quiet(ctx context.Context, command ...string) error {
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v: %w: %s", command, err, out)
	}
	return nil
}

const (
	rssLimitMB    = 300
	startLimitMS  = 30
	binaryLimitMB = 15
)

// sizes compares memory, start and size of the program with their limits.
func (v *validator) sizes(ctx context.Context) ([]measurement, error) {
	var starts []float64
	for range 4 * validateRounds {
		s, err := seconds(func() error { return quiet(ctx, "bin/firn", "--version") })
		if err != nil {
			return nil, err
		}
		starts = append(starts, 1000*s)
	}
	info, err := os.Stat("bin/firn")
	if err != nil {
		return nil, err
	}
	// A child inherits the peak of the process that started it, so that must be seen to be small.
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return nil, err
	}
	most := slices.Max(slices.Collect(maps.Values(v.rss)))
	return []measurement{
		compared("validate_peak_rss", "MB", most, "limit", rssLimitMB, map[string]any{"by_mode_mb": v.rss, "of_the_bench_mb": float64(own.Maxrss) / 1024, "aim_ratio": 1}),
		compared("validate_start", "ms", median(starts), "limit", startLimitMS, map[string]any{"of": "firn --version", "aim_ratio": 1}),
		compared("validate_binary", "MB", float64(info.Size())/1e6, "limit", binaryLimitMB, map[string]any{"aim_ratio": 1}),
	}, nil
}
