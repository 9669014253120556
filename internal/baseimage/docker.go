// SPDX-License-Identifier: Apache-2.0

package baseimage

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"firn.dev/firn/internal/errs"
)

// platform is the only one that runtime environments exist for.
const platform = "linux/amd64"

// docker is a client and the way it builds.
type docker struct {
	client   string   // for everything but builds
	builder  []string // program and first arguments of a build
	buildEnv []string
	programs programs
}

// findDocker takes the given client, or the first one on PATH, asks whether its server answers, and chooses a builder:
// BuildKit through buildx, else a client from before 23, which has BuildKit in it, else the classic builder.
func findDocker(ctx context.Context, path string, p programs) (docker, error) {
	clients := []string{path}
	if path == "" {
		clients = onPath("docker")
	}
	if len(clients) == 0 {
		return docker{}, errs.New(errs.Unavailable, "docker is not installed; install it, on Debian and Ubuntu with: apt-get install docker.io")
	}
	d := docker{client: clients[0], programs: p}
	if _, err := p.output(ctx, d.client, "version", "--format", "{{.Server.Version}}"); err != nil {
		return docker{}, errs.Wrap(err, errs.CodeOf(err), "docker does not answer; start its service or set DOCKER_HOST")
	}
	if _, err := p.output(ctx, d.client, "buildx", "version"); err == nil {
		// Without a provenance record the result is one image and not an index of two.
		d.builder = []string{d.client, "buildx", "build", "--load", "--provenance=false", "--progress=plain"}
		return d, nil
	}
	for _, client := range clients {
		if version, err := p.output(ctx, client, "version", "--format", "{{.Client.Version}}"); err == nil && hasBuildKit(version) {
			d.builder, d.buildEnv = []string{client, "build", "--progress=plain"}, []string{"DOCKER_BUILDKIT=1"}
			return d, nil
		}
	}
	d.builder, d.buildEnv = []string{d.client, "build"}, []string{"DOCKER_BUILDKIT=0"}
	return d, nil
}

// onPath gives the paths of all programs of that name on PATH, in its order.
func onPath(name string) []string {
	var found []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil && !slices.Contains(found, path) {
			found = append(found, path)
		}
	}
	return found
}

// hasBuildKit tells whether a docker client of that version builds with BuildKit without the buildx plugin.
func hasBuildKit(version string) bool {
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	return err == nil && n >= 19 && n < 23
}

// image is the part of docker's description of an image that is used here.
type image struct {
	ID     string `json:"Id"`
	Size   int64
	Config struct{ Labels map[string]string }
}

// inspect looks an image up in docker's own store; ok tells whether it is there.
func (d docker) inspect(ctx context.Context, reference string) (found image, ok bool, err error) {
	// A listing, unlike an inspection, tells "absent" from "failed".
	id, err := d.programs.output(ctx, d.client, "image", "ls", "--quiet", "--no-trunc", reference)
	if err != nil || id == "" {
		return image{}, false, err
	}
	text, err := d.programs.output(ctx, d.client, "image", "inspect", "--format", "{{json .}}", reference)
	if err != nil {
		return image{}, false, err
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		return image{}, false, errs.Wrap(err, errs.Unavailable, "docker describes image %s in an unknown way", reference)
	}
	return found, true, nil
}

// tag gives an image a second reference.
func (d docker) tag(ctx context.Context, from, to string) error {
	_, err := d.programs.output(ctx, d.client, "tag", from, to)
	return err
}

// pull fetches an image from its registry.
func (d docker) pull(ctx context.Context, reference string) error {
	return d.programs.run(ctx, nil, nil, d.client, "pull", "--platform", platform, reference)
}

// build runs docker build on a directory.
func (d docker) build(ctx context.Context, dir string, args ...string) error {
	args = append(slices.Concat(d.builder[1:], []string{"--platform", platform}, args), dir)
	return d.programs.run(ctx, d.buildEnv, nil, d.builder[0], args...)
}
