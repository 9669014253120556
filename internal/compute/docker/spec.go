// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"firn.dev/firn/internal/compute"
)

// capabilities is what root in a container keeps. Job images run as root, install packages at start and start cron, and each
// of these was seen to be needed: without SETGID cron runs nothing, without SETUID nobody becomes another user (su, apt),
// without KILL their processes cannot be ended, without CHOWN, FOWNER and DAC_OVERRIDE installers cannot set up files of
// other users. Everything else is dropped, also what engines give by default: raw sockets, device nodes, chroot, file
// capabilities. Low ports need no capability: engines let everybody in a container bind them.
var capabilities = []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"}

// createOptions turns a task into what the engine creates. It is a pure function of both.
func (b *Backend) createOptions(t compute.Task) client.ContainerCreateOptions {
	labels := maps.Clone(t.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, map[string]string{
		labelInstall: b.install, labelTask: string(t.ID), labelGroup: t.Group, labelNetwork: t.Network,
	})
	if t.Timeout > 0 {
		labels[labelTimeout] = t.Timeout.String()
	}
	env := make([]string, 0, len(t.Env))
	for _, k := range slices.Sorted(maps.Keys(t.Env)) {
		env = append(env, k+"="+t.Env[k])
	}
	return client.ContainerCreateOptions{
		Name: b.name(t.ID),
		Config: &container.Config{
			Hostname: string(t.ID), Image: t.Image, Entrypoint: t.Command, Cmd: t.Args, Env: env, Labels: labels,
		},
		HostConfig: b.hostConfig(t),
	}
}

// hostConfig is the part of createOptions about limits and rights.
func (b *Backend) hostConfig(t compute.Task) *container.HostConfig {
	h := &container.HostConfig{
		NetworkMode: container.NetworkMode(b.firstNetwork(t)),
		// Whatever the engine's default is, logs must be readable; a runaway loop must not fill the disk.
		LogConfig:   container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "512m", "max-file": "2"}},
		IpcMode:     container.IPCModePrivate,
		CapDrop:     []string{"ALL"},
		CapAdd:      capabilities,
		SecurityOpt: []string{"no-new-privileges"},
		ShmSize:     t.SharedMem,
		Resources: container.Resources{
			NanoCPUs: int64(t.CPU * 1e9), Memory: t.Memory, MemorySwap: t.Memory, // equal: no swap
		},
	}
	if t.PIDs > 0 {
		h.PidsLimit = &t.PIDs
	}
	if len(t.Command) > 0 { // the image's own entrypoint, which reaps processes, is not there
		yes := true
		h.Init = &yes
	}
	if t.ReadOnly {
		h.ReadonlyRootfs, h.CapAdd = true, nil
		h.Tmpfs = map[string]string{"/tmp": "rw,exec,nosuid,nodev,mode=1777"}
	}
	if t.GPUs > 0 {
		h.DeviceRequests = []container.DeviceRequest{{Count: t.GPUs, Capabilities: [][]string{{"gpu"}}}}
	}
	if t.Network == "job" {
		// Engines before 23.0.11 pass names of the world on to the host's resolver, which is a way out (CVE-2024-29018). Nothing
		// answers here, in the container itself; names of the network are the engine's own business.
		h.DNS = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	for _, m := range t.Mounts {
		h.Mounts = append(h.Mounts, mount.Mount{Type: mount.TypeBind, Source: m.Source, Target: m.Target})
	}
	for n, f := range t.Files {
		h.Mounts = append(h.Mounts, mount.Mount{Type: mount.TypeBind, Source: b.filePath(t.ID, n), Target: f.Path})
	}
	for _, name := range slices.Sorted(maps.Keys(t.Hosts)) {
		h.ExtraHosts = append(h.ExtraHosts, name+":"+t.Hosts[name])
	}
	if t.Network != "job" { // programs that look up their own host name find it also here
		h.ExtraHosts = append(h.ExtraHosts, string(t.ID)+":127.0.0.1")
	}
	return h
}
