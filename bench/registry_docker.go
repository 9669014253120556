// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// dockerImage pushes and pulls an image of 300 MB by the real docker.
func dockerImage(ctx context.Context, places []*place) ([]measurement, error) {
	const rounds, size = 7, 300_000_000
	dir, forget, err := scratch()
	if err != nil {
		return nil, err
	}
	defer forget()
	d := &dockerClient{config: dir}
	defer d.forget()
	firnd := places[placeFirnd]
	if err := d.run(ctx, firnd.password, "login", firnd.host, "-u", "ADMIN", "--password-stdin"); err != nil {
		return nil, err
	}
	blob := content(size)
	push := func(p *place) (float64, error) {
		fresh(blob) // a layer that docker cannot know to be anywhere
		if err := d.load(ctx, blob, p.image()); err != nil {
			return 0, err
		}
		return megabytes(size, func() error { return d.run(ctx, "", "push", "-q", p.image()) })
	}
	pushed, err := turns("docker_push", "MB/s", places, rounds, 0, 1, push)
	if err != nil {
		return nil, err
	}
	pulled, err := turns("docker_pull", "MB/s", places, rounds, 0, 1, func(p *place) (float64, error) {
		if err := d.run(ctx, "", "rmi", p.image()); err != nil && !strings.Contains(err.Error(), "No such image") {
			return 0, err
		}
		return megabytes(size, func() error { return d.run(ctx, "", "pull", "-q", p.image()) })
	})
	return append(pushed, pulled...), err
}

// image is the name that docker gives the image of a place.
func (p *place) image() string { return p.host + strings.TrimPrefix(repositoryPath, "/v2") + ":docker" }

// dockerClient is docker with a configuration of its own.
type dockerClient struct {
	config string
	images []string
}

func (d *dockerClient) run(ctx context.Context, input string, args ...string) error {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+d.config)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("docker %s: %w: %s", args[0], err, out)
	}
	return nil
}

// load makes an image of one layer, which has one file.
func (d *dockerClient) load(ctx context.Context, blob []byte, name string) error {
	file := filepath.Join(d.config, "layer.tar")
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := tar.NewWriter(f)
	err = w.WriteHeader(&tar.Header{Name: "data", Mode: 0o644, Size: int64(len(blob))})
	if err == nil {
		_, err = w.Write(blob)
	}
	if err := errors.Join(err, w.Close(), f.Close()); err != nil {
		return err
	}
	d.images = append(d.images, name)
	_ = d.run(ctx, "", "rmi", name) // the one of the round before, if any
	return d.run(ctx, "", "import", file, name)
}

// forget removes the images.
func (d *dockerClient) forget() {
	for _, name := range d.images {
		_ = d.run(context.Background(), "", "rmi", name) // it may be gone
	}
}

// get reads what is at a path below the repository.
func (p *place) get(ctx context.Context, path string) (string, error) {
	body, _, err := p.page(ctx, p.url+path)
	return string(body), err
}

// page reads what is at a URL, and the header Link beside it.
func (p *place) page(ctx context.Context, url string) (body []byte, link string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, "", err
	}
	if p.token != "" {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	resp, err := p.web.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: GET %s: %s: %s", p.name, url, resp.Status, body)
	}
	return body, resp.Header.Get("Link"), err
}

var nextPage = regexp.MustCompile(`^<([^>]*)>; rel="next"$`)

// allTags lists the tags of the image page by page, and wants so many.
func (p *place) allTags(ctx context.Context, count int) error {
	seen := 0
	for url := p.url + "/tags/list"; url != ""; {
		body, link, err := p.page(ctx, url)
		if err != nil {
			return err
		}
		var list struct{ Tags []string }
		if err := json.Unmarshal(body, &list); err != nil {
			return err
		}
		seen += len(list.Tags)
		url = ""
		if m := nextPage.FindStringSubmatch(link); m != nil {
			url = "http://" + p.host + m[1]
		}
	}
	if seen != count {
		return fmt.Errorf("%s: the list has %d tags, not %d", p.name, seen, count)
	}
	return nil
}
