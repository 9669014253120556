// SPDX-License-Identifier: Apache-2.0

package docker_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/compute/computetest"
	"firn.dev/firn/internal/compute/docker"
	"firn.dev/firn/internal/errs"
)

// raw gives a client of the engine itself.
func raw(t testing.TB) *client.Client {
	t.Helper()
	c, err := client.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// dropNetwork removes what an installation leaves in the engine by design.
func dropNetwork(engine *client.Client, install string) {
	_, _ = engine.NetworkRemove(context.Background(), "firn-"+install, client.NetworkRemoveOptions{})
}

func TestBackend(t *testing.T) {
	t.Parallel()
	image := computetest.DockerImage(t)
	engine := raw(t)
	var mu sync.Mutex
	var installs []string
	t.Cleanup(func() {
		for _, install := range installs {
			dropNetwork(engine, install)
		}
	})
	computetest.TestBackend(t, func(install string) (compute.Backend, error) {
		mu.Lock()
		defer mu.Unlock()
		installs = append(installs, install)
		return docker.New(docker.Options{Install: install, Files: t.TempDir()})
	}, computetest.Options{Image: image, Missing: "sha256:0000000000000000000000000000000000000000000000000000000000000000"})
}

// room is an installation of its own with one backend.
type room struct {
	*docker.Backend
	t       *testing.T
	image   string
	install string
}

func setup(t *testing.T) *room {
	t.Helper()
	install := "d" + strings.ToLower(rand.Text()[:10])
	b, err := docker.New(docker.Options{Install: install, Files: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	r := &room{Backend: b, t: t, image: computetest.DockerImage(t), install: install}
	t.Cleanup(func() {
		for s := range b.List(context.Background()) {
			_ = b.Remove(context.Background(), s.ID)
		}
		b.Close()
		dropNetwork(raw(t), install)
	})
	return r
}

// shell makes a task of a shell script.
func (r *room) shell(id compute.TaskID, script string) compute.Task {
	return compute.Task{ID: id, Image: r.image, Network: "none", Command: []string{"/bin/sh", "-c", script}}
}

// run runs a task to its end and gives its log.
func (r *room) run(t compute.Task) (string, compute.Exit) {
	r.t.Helper()
	if err := r.Start(r.t.Context(), t, nil); err != nil {
		r.t.Fatal(err)
	}
	e, err := r.Wait(r.t.Context(), t.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	rc, err := r.Logs(r.t.Context(), t.ID, compute.LogOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer rc.Close()
	text, err := io.ReadAll(rc)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text), e
}

func (r *room) ip(id compute.TaskID) string {
	r.t.Helper()
	for s, err := range r.List(r.t.Context()) {
		if err != nil {
			r.t.Fatal(err)
		}
		if s.ID == id {
			return s.IP
		}
	}
	return ""
}

func TestLimits(t *testing.T) {
	t.Parallel()
	r := setup(t)
	task := r.shell("limits", `df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2
		grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status
		cat /proc/self/cgroup >/dev/null
		( i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done ) 2>&1 | grep -q -i "can't fork" && echo too many
		echo $$ | grep -qv '^1$' && echo reaped`)
	task.CPU, task.Memory, task.SharedMem, task.PIDs = 0.5, 64<<20, 8<<20, 20
	got, _ := r.run(task)
	// CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, KILL 5, SETGID 6, SETUID 7
	want := "8192\nCapEff:\t00000000000000eb\nCapBnd:\t00000000000000eb\nNoNewPrivs:\t1\ntoo many\nreaped\n"
	if got != want {
		t.Errorf("in the container:\n%swant\n%s", got, want)
	}
	c, err := raw(t).ContainerInspect(t.Context(), "firn-"+r.install+"-limits", client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h := c.Container.HostConfig
	if h.NanoCPUs != 5e8 || h.Memory != 64<<20 || h.MemorySwap != 64<<20 {
		t.Errorf("limits: cpu %d, memory %d, with swap %d", h.NanoCPUs, h.Memory, h.MemorySwap)
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	r := setup(t)
	task := r.shell("readonly", `exec 2>&1; echo x > /tmp/x && echo tmp; echo x > /x || echo refused; grep CapEff /proc/self/status
		cp /bin/busybox /tmp/busybox && /tmp/busybox true && echo runs; hostname; ls /sys/class/net; grep -c "$(hostname)" /etc/hosts`)
	task.ReadOnly = true
	got, _ := r.run(task)
	want := "tmp\n/bin/sh: can't create /x: Read-only file system\nrefused\nCapEff:\t0000000000000000\nruns\nreadonly\nlo\n1\n"
	if got != want {
		t.Errorf("in the container:\n%swant\n%s", got, want)
	}
	task.ID, task.Files = "rofiles", []compute.File{{Path: "/x"}}
	if err := r.Start(t.Context(), task, nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("files on a read-only root: %v", err)
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	r := setup(t)
	gateway, err := r.Gateway(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", net.JoinHostPort(gateway.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, "the door")
			c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	serve := `while :; do echo "I am $(hostname)" | nc -l -p 7000 >/dev/null; done`
	door := fmt.Sprintf("nc -w 3 door %s </dev/null", port)

	start := func(id compute.TaskID, group, script string) {
		t.Helper()
		task := r.shell(id, script)
		task.Network, task.Group, task.Hosts = "job", group, map[string]string{"door": gateway.String()}
		if err := r.Start(t.Context(), task, nil); err != nil {
			t.Fatal(err)
		}
	}
	start("alone", "", serve)
	start("pair-0", "pair", serve)
	alone, head := r.ip("alone"), r.ip("pair-0")
	if conn, err := r.Dial(t.Context(), "alone", 7000); err != nil {
		t.Errorf("dial: %v", err)
	} else {
		line, _ := bufio.NewReader(conn).ReadString('\n')
		conn.Close()
		if line != "I am alone\n" {
			t.Errorf("port of a task says %q", line)
		}
	}
	if _, err := r.Dial(t.Context(), "alone", 7001); !errs.Is(err, errs.Unavailable) {
		t.Errorf("dial of a closed port: %v", err)
	}

	tests := []struct {
		name, group, script, want string
	}{
		{"own-address", "", `[ "$(hostname -i)" = "$(ip -4 -o addr show eth0 | tr -s ' ' | cut -d' ' -f4 | cut -d/ -f1)" ] && echo same`, "same\n"},
		{"door", "", door, "the door\n"},
		{"door-of-group", "pair", "sleep 0.5; " + door, "the door\n"},
		{"member", "pair", "nc -w 3 " + head + " 7000 </dev/null", "I am pair-0\n"},
		{"own-address-of-group", "pair", `hostname -i | tr ' ' '\n' | grep -c . >/dev/null; ip -4 -o addr show eth0 | grep -c "$(grep "$(hostname)" /etc/hosts | head -1 | cut -f1)"`, "1\n"},
		{"stranger", "", "nc -w 2 " + alone + " 7000 </dev/null || echo nobody", "nobody\n"},
		{"stranger-of-group", "", "nc -w 2 " + head + " 7000 </dev/null || echo nobody", "nobody\n"},
		{"other-group", "other", "nc -w 2 " + head + " 7000 </dev/null || echo nobody", "nobody\n"},
		{"names", "", "nslookup example.com >/dev/null || echo none", "none\n"},
	}
	for _, tt := range tests {
		start(compute.TaskID(tt.name), tt.group, "exec 2>/dev/null; "+tt.script)
	}
	for _, tt := range tests {
		if _, err := r.Wait(t.Context(), compute.TaskID(tt.name)); err != nil {
			t.Fatal(err)
		}
		rc, err := r.Logs(t.Context(), compute.TaskID(tt.name), compute.LogOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(rc)
		rc.Close()
		if string(got) != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	for _, id := range []compute.TaskID{"pair-0", "door-of-group", "member", "own-address-of-group"} {
		if err := r.Remove(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	if _, err := raw(t).NetworkInspect(t.Context(), "firn-"+r.install+"-pair", client.NetworkInspectOptions{}); err == nil {
		t.Errorf("the network of a group outlives its last member")
	}
}

func TestFilesBelongToTheImagesUser(t *testing.T) {
	t.Parallel()
	r := setup(t)
	engine := raw(t)
	for _, user := range []string{"worker", "1234:1234", ""} {
		tag := "firn-compute-test:user" + strings.ToLower(rand.Text()[:8])
		c, err := engine.ContainerCreate(t.Context(), client.ContainerCreateOptions{
			Config: &container.Config{Image: r.image, Cmd: []string{"true"}}, Name: "firn-" + r.install + "-commit" + rand.Text()[:4],
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = engine.ContainerCommit(t.Context(), c.ID, client.ContainerCommitOptions{Reference: tag, Changes: []string{"USER " + user}})
		if user == "" {
			_, err = engine.ContainerCommit(t.Context(), c.ID, client.ContainerCommitOptions{Reference: tag})
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := engine.ContainerRemove(t.Context(), c.ID, client.ContainerRemoveOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_, _ = engine.ImageRemove(context.Background(), tag, client.ImageRemoveOptions{Force: true})
		})
		task := r.shell(compute.TaskID("u"+rand.Text()[:6]), "cat /snowflake/session/token; stat -c %a,%u /snowflake/session/token; stat -c %a /snowflake/session")
		task.Image = tag
		task.Files = []compute.File{{Path: "/snowflake/session/token", Content: "t0ken\n"}}
		want := "t0ken\n400,1234\n755\n"
		if user == "" {
			want = "t0ken\n400,0\n755\n"
		}
		if got, _ := r.run(task); got != want {
			t.Errorf("user %q: %q, want %q", user, got, want)
		}
		if err := r.Remove(t.Context(), task.ID); err != nil {
			t.Error(err)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	r := setup(t)
	tests := []struct {
		name string
		code errs.Code
		edit func(*compute.Task)
	}{
		{"id", errs.Invalid, func(t *compute.Task) { t.ID = "a b" }},
		{"long id", errs.Invalid, func(t *compute.Task) { t.ID = compute.TaskID(strings.Repeat("x", 61)) }},
		{"network", errs.Invalid, func(t *compute.Task) { t.Network = "host" }},
		{"program", errs.Invalid, func(t *compute.Task) { t.Command = nil }},
		{"mount", errs.Invalid, func(t *compute.Task) { t.Mounts = []compute.Mount{{Source: "/no/such/dir", Target: "/x"}} }},
		{"memory", errs.Invalid, func(t *compute.Task) { t.Memory = 1 }},
	}
	for _, tt := range tests {
		task := r.shell("refused", "exit 0")
		tt.edit(&task)
		if err := r.Start(t.Context(), task, nil); !errs.Is(err, tt.code) {
			t.Errorf("%s: %v, want code %s", tt.name, err, tt.code)
		}
		if err := r.Remove(t.Context(), task.ID); err != nil && tt.code != errs.Invalid {
			t.Error(err)
		}
	}
}

func TestNoEngine(t *testing.T) {
	t.Parallel()
	b, err := docker.New(docker.Options{Install: "x", Files: t.TempDir(), Host: "unix://" + t.TempDir() + "/none.sock"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_, err = b.Capacity(t.Context())
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(errs.MessageOf(err), "none.sock: start it (systemctl start docker, or dockerd)") {
		t.Errorf("without an engine: %v", err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	if _, err := b.Wait(ctx, "x"); !errs.Is(err, errs.Canceled) && !errs.Is(err, errs.Unavailable) {
		t.Errorf("wait without an engine: %v", err)
	}
	for _, name := range []string{"", "UPPER", "a_b", strings.Repeat("x", 21)} {
		if _, err := docker.New(docker.Options{Install: name, Files: t.TempDir()}); !errs.Is(err, errs.Invalid) {
			t.Errorf("installation %q: %v", name, err)
		}
	}
}

// phases collects what Start tells.
func phases(into *[]string) func(compute.Event) {
	return func(e compute.Event) { *into = append(*into, e.Phase) }
}

var pulledAll = []string{"pulling", "pulled", "created", "started"}

func samePhases(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: steps %q, want %q", what, got, want)
	}
}
