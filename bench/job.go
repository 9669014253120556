// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"firn.dev/firn/internal/client"
)

const rounds = 7

// seedImage makes a repository and pushes a small image to it, for jobs that never start.
func seedImage(ctx context.Context, s *server) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	if err := script(ctx, c, "CREATE IMAGE REPOSITORY bench.s.images"); err != nil {
		return err
	}
	ref, err := name.ParseReference(s.host+"/bench/s/images/empty:v1", name.Insecure)
	if err != nil {
		return err
	}
	img, err := random.Image(1024, 1)
	if err != nil {
		return err
	}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{OS: "linux", Architecture: "amd64"})
	if err != nil {
		return err
	}
	return remote.Write(ref, img, remote.WithContext(ctx), remote.WithAuth(&authn.Basic{Username: "ADMIN", Password: s.password()}))
}

// withBase starts a server with Docker and the base image published, and gives the base's path in the registry.
func withBase(ctx context.Context) (*server, *client.Client, string, error) {
	s, err := startServer(ctx, "docker")
	if err != nil {
		return nil, nil, "", err
	}
	fail := func(err error) (*server, *client.Client, string, error) { s.stop(); return nil, nil, "", err }
	out, err := exec.CommandContext(ctx, "bin/firnd", "base", "build", "cpu", "--data-dir", s.dir, "--listen", s.host).CombinedOutput()
	if err != nil {
		return fail(fmt.Errorf("base image: %w: %s", err, out))
	}
	_, path, _ := strings.Cut(strings.TrimSpace(string(out[strings.LastIndex(string(out), "published "):])), s.host)
	c, err := s.connect(ctx)
	if err != nil {
		return fail(err)
	}
	if err := script(ctx, c, account...); err != nil {
		return fail(err)
	}
	return s, c, path, nil
}

// jobStart times a job from its CALL to the first line that its container prints, beside `docker run` of the same image and
// command. The line is the time at which the container prints it, on the same clock.
func jobStart(ctx context.Context) ([]measurement, error) {
	s, c, path, err := withBase(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	text, err := submitText(path, "date", "+%s.%N")
	if err != nil {
		return nil, err
	}
	var ours, theirs []float64
	for round := range rounds + 1 {
		a, err := jobOnce(ctx, c, text)
		if err != nil {
			return nil, err
		}
		b, err := runOnce(ctx, s.host+path)
		if err != nil {
			return nil, err
		}
		if round > 0 { // the first warms both
			ours, theirs = append(ours, a), append(theirs, b)
		}
	}
	return []measurement{compared("job_start", "ms", median(ours), "docker-run", median(theirs),
		map[string]any{"ours_ms": ours, "theirs_ms": theirs, "aim_ratio": 1.25})}, nil
}

// jobOnce runs a job to its end and gives the milliseconds from the CALL to what it printed.
func jobOnce(ctx context.Context, c *client.Client, text string) (float64, error) {
	begin := time.Now()
	r, err := c.Query(ctx, text)
	if err != nil {
		return 0, err
	}
	id := *r.Rows[0][0]
	if _, err := c.Query(ctx, "CALL "+id+"!SPCS_WAIT_FOR('DONE', 60)"); err != nil {
		return 0, err
	}
	logs, err := c.Query(ctx, "SELECT SYSTEM$GET_SERVICE_LOGS('"+id+"', 0, 'main')")
	if err != nil {
		return 0, err
	}
	return since(begin, *logs.Rows[0][0])
}

func runOnce(ctx context.Context, image string) (float64, error) {
	begin := time.Now()
	out, err := exec.CommandContext(ctx, "docker", "run", "--rm", image, "date", "+%s.%N").Output()
	if err != nil {
		return 0, fmt.Errorf("docker run: %w", err)
	}
	return since(begin, string(out))
}

// since gives the milliseconds between a time and one that was printed as seconds.
func since(begin time.Time, printed string) (float64, error) {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(printed), 64)
	return seconds*1000 - float64(begin.UnixMicro())/1000, err
}

// jobUserLine times a job of the real ML Jobs client from its submission to the first line of user code, by phase.
func jobUserLine(ctx context.Context) ([]measurement, error) {
	s, _, path, err := withBase(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	clients := os.Getenv("FIRN_TEST_CLIENTS")
	cmd := exec.CommandContext(ctx, clients+"/venv/bin/python", "bench/user_line.py", s.host, path)
	cmd.Env = append(os.Environ(), "FIRN_BENCH_PASSWORD="+s.password())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("user_line.py: %w", err)
	}
	var found struct {
		UserLine float64            `json:"user_line_ms"`
		Phases   map[string]float64 `json:"phases_ms"`
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return nil, err
	}
	theirs, err := runOnce(ctx, s.host+path)
	if err != nil {
		return nil, err
	}
	return []measurement{compared("job_user_line", "ms", found.UserLine, "docker-run", theirs, map[string]any{"phases_ms": found.Phases})}, nil
}
