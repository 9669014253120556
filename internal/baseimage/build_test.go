// SPDX-License-Identifier: Apache-2.0

package baseimage

import (
	"io/fs"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"firn.dev/firn/images/base"
)

// TestBuild builds the image with the real docker, or finds it, and looks at what users and job scripts rely on.
func TestBuild(t *testing.T) {
	t.Parallel()
	built, err := Build(t.Context(), Options{Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	if built.Reference != "firn/base-cpu:"+base.Version || built.Size < 1e9 || built.Size > 1_500_000_000 {
		t.Errorf("Build() = %+v, want firn/base-cpu:%s of 1.0 to 1.5 GB", built, base.Version)
	}
	again, err := Build(t.Context(), Options{Log: t.Output()})
	if err != nil || !again.Cached || again.ID != built.ID {
		t.Errorf("second Build() = %+v, %v, want %s from the cache", again, err, built.ID)
	}
	image := built.Reference

	t.Run("labels", func(t *testing.T) {
		t.Parallel()
		labels := dockerRun(t, "image", "inspect", "--format", "{{json .Config.Labels}}", image)
		for _, want := range []string{
			`"dev.firn.base.type":"CPU"`, `"dev.firn.base.python":"3.11"`, `"dev.firn.base.recipe":"` + built.Recipe + `"`,
			`"org.opencontainers.image.version":"` + base.Version + `"`, `"org.opencontainers.image.title":`,
		} {
			if !strings.Contains(labels, want) {
				t.Errorf("labels %s lack %s", labels, want)
			}
		}
	})
	t.Run("packages", func(t *testing.T) {
		t.Parallel()
		// The ten that every runtime environment needs, and those whose objects jobs send back.
		dockerRun(t, "run", "--rm", "--network=none", image, "python", "-c",
			"import snowflake.ml.jobs, snowflake.snowpark, pandas, ray, jupyter_server, notebook, ipykernel, IPython, sqlparse, jinja2, psutil\n"+
				"import sklearn.datasets, xgboost, lightgbm, xgboost_ray, lightgbm_ray, snowflake.core, cloudpickle")
		dockerRun(t, "run", "--rm", "--network=none", image, "pip", "check")
	})
	t.Run("freeze", func(t *testing.T) {
		t.Parallel()
		got := normalPins(dockerRun(t, "run", "--rm", "--network=none", image, "pip", "list", "--format=freeze"))
		locked, err := fs.ReadFile(base.FS, "requirements-3.11.txt")
		if err != nil {
			t.Fatal(err)
		}
		if want := normalPins(string(locked)); !slices.Equal(got, want) {
			t.Errorf("pip list in the image:\n%s\nrequirements-3.11.txt:\n%s", strings.Join(got, " "), strings.Join(want, " "))
		}
	})
	t.Run("cloudpickle of older clients", func(t *testing.T) {
		t.Parallel()
		dockerRun(t, "run", "--rm", "--network=none", image, "pip", "install", "--no-index", "cloudpickle~=2.0")
	})
	t.Run("ray", func(t *testing.T) {
		t.Parallel()
		help := dockerRun(t, "run", "--rm", "--network=none", image, "ray", "start", "--dashboard-grpc-port=12002", "--help")
		if !strings.Contains(help, "--dashboard-port") {
			t.Errorf("ray start --help said %q", help)
		}
	})
	t.Run("entrypoint", func(t *testing.T) {
		t.Parallel()
		got := dockerRun(t, "run", "--rm", "--network=none", image, "printf", "[%s]", "a b", "", "$c")
		if got != "[a b][][$c]" {
			t.Errorf("arguments arrive as %q", got)
		}
	})
	t.Run("stop", func(t *testing.T) {
		t.Parallel()
		id := dockerRun(t, "run", "--detach", "--rm", "--network=none", image, "bash", "-c", "echo up; sleep 600; true")
		// The kernel drops a signal to PID 1 that comes before PID 1 says how it handles it.
		for dockerRun(t, "logs", id) != "up" {
			time.Sleep(20 * time.Millisecond)
		}
		begin := time.Now()
		dockerRun(t, "stop", "--time=30", id)
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("docker stop took %s: the signal did not arrive", took)
		}
	})
}

// dockerRun runs the docker client, fails the test when it fails, and gives its standard output without the last newline.
func dockerRun(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", args...).Output()
	if err != nil {
		var said string
		if exit, ok := err.(*exec.ExitError); ok {
			said = string(exit.Stderr)
		}
		t.Fatalf("docker %s: %v\n%s%s", strings.Join(args, " "), err, out, said)
	}
	return strings.TrimSuffix(string(out), "\n")
}

var separators = regexp.MustCompile(`[-_.]+`)

// normalPins gives the name==version lines of a text, names in their normal form, sorted.
func normalPins(text string) []string {
	var pins []string
	for line := range strings.Lines(text) {
		if name, version, ok := strings.Cut(strings.TrimSpace(line), "=="); ok {
			pins = append(pins, separators.ReplaceAllString(strings.ToLower(name), "-")+"=="+version)
		}
	}
	slices.Sort(pins)
	return pins
}
