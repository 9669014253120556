// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// Every task with a network is in the door network, which has no way out and whose members cannot reach each other: all
// that is to be had there is what listens on its gateway address, the server's door for containers. The tasks of a group
// are in a network of their group besides, which is their first (eth0), so that they reach each other and nobody else.

// doorName is the name of the network in which tasks reach the server.
func (b *Backend) doorName() string { return "firn-" + b.install }

// groupName is the name of the network of a group.
func (b *Backend) groupName(group string) string { return "firn-" + b.install + "-" + group }

// firstNetwork is the name of the network that a task is created in.
func (b *Backend) firstNetwork(t compute.Task) string {
	switch {
	case t.Network != "job":
		return "none"
	case t.Group != "":
		return b.groupName(t.Group)
	default:
		return b.doorName()
	}
}

// Gateway gives the address of this host in the network of the tasks, making the network when it is missing. The server
// listens there for containers. The address stays the same as long as the network exists.
//
// Errors: Unavailable; Exhausted when the engine has no addresses left.
func (b *Backend) Gateway(ctx context.Context) (netip.Addr, error) {
	n, err := b.ensureNetwork(ctx, b.doorName(), "")
	if err != nil {
		return netip.Addr{}, err
	}
	for _, c := range n.IPAM.Config {
		if c.Gateway.Is4() {
			return c.Gateway, nil
		}
	}
	return netip.Addr{}, errs.New(errs.Unavailable, "docker network %s has no gateway address: remove it, it is made again", n.Name)
}

// ensureNetwork finds or makes an internal network. Members of a network with a group reach each other.
func (b *Backend) ensureNetwork(ctx context.Context, name, group string) (network.Inspect, error) {
	b.networks.Lock()
	defer b.networks.Unlock()
	r, err := b.engine.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	if err == nil {
		return r.Network, nil
	}
	if !errdefs.IsNotFound(err) {
		return network.Inspect{}, b.fail(ctx, err, errs.Unavailable, "network %s", name)
	}
	o := client.NetworkCreateOptions{
		Driver: "bridge", Internal: true,
		Labels: map[string]string{labelInstall: b.install, labelGroup: group},
	}
	if group == "" {
		o.Options = map[string]string{"com.docker.network.bridge.enable_icc": "false"}
	}
	if _, err := b.engine.NetworkCreate(ctx, name, o); err != nil && !errdefs.IsConflict(err) {
		return network.Inspect{}, b.fail(ctx, err, errs.Unavailable, "network %s", name)
	}
	r, err = b.engine.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	if err != nil {
		return network.Inspect{}, b.fail(ctx, err, errs.Unavailable, "network %s", name)
	}
	return r.Network, nil
}

// ensureNetworks makes the networks that the task needs.
func (b *Backend) ensureNetworks(ctx context.Context, t compute.Task) error {
	if t.Network != "job" {
		return nil
	}
	if _, err := b.ensureNetwork(ctx, b.doorName(), ""); err != nil {
		return err
	}
	if t.Group == "" {
		return nil
	}
	_, err := b.ensureNetwork(ctx, b.groupName(t.Group), t.Group)
	return err
}

// joinDoor connects the running task of a group to the door network. It is done after the start because only then the
// group's network is sure to be eth0.
func (b *Backend) joinDoor(ctx context.Context, id compute.TaskID, labels map[string]string, joined map[string]*network.EndpointSettings) error {
	if labels[labelNetwork] != "job" || joined[b.doorName()] != nil {
		return nil
	}
	_, err := b.engine.NetworkConnect(ctx, b.doorName(), client.NetworkConnectOptions{Container: b.name(id)})
	// A task that has ended in the meantime needs no door, and one that is in already reports a conflict in no version alike.
	if err != nil {
		if c, again := b.inspect(ctx, id); again == nil && (!c.State.Running || c.NetworkSettings.Networks[b.doorName()] != nil) {
			return nil
		}
		return b.fail(ctx, err, errs.Unavailable, "task %s: network %s", id, b.doorName())
	}
	return nil
}

// dropGroup removes the network of a group when nobody is in it any more.
func (b *Backend) dropGroup(ctx context.Context, group string) {
	if group == "" {
		return
	}
	b.networks.Lock()
	defer b.networks.Unlock()
	members, err := b.engine.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: b.ours().Add("label", labelGroup+"="+group),
	})
	if err != nil || len(members.Items) > 0 {
		return
	}
	if _, err := b.engine.NetworkRemove(ctx, b.groupName(group), client.NetworkRemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
		b.log.Warn("network stays", "network", b.groupName(group), "error", err)
	}
}

// Leave removes the door network when no task is left that could need it: an engine has few to give. It is made again with the
// next task.
//
// Errors: Unavailable.
func (b *Backend) Leave(ctx context.Context) error {
	b.networks.Lock()
	defer b.networks.Unlock()
	members, err := b.engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: b.ours()})
	if err != nil {
		return b.fail(ctx, err, errs.Unavailable, "list of tasks")
	}
	if len(members.Items) > 0 {
		return nil
	}
	if _, err := b.engine.NetworkRemove(ctx, b.doorName(), client.NetworkRemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
		return b.fail(ctx, err, errs.Unavailable, "network %s", b.doorName())
	}
	return nil
}

// address is the IPv4 address by which a task's group reaches it.
func (b *Backend) address(labels map[string]string, joined map[string]*network.EndpointSettings) string {
	names := []string{b.doorName()}
	if group := labels[labelGroup]; group != "" {
		names = slices.Insert(names, 0, b.groupName(group))
	}
	for _, name := range names {
		if e := joined[name]; e != nil && e.IPAddress.Is4() {
			return e.IPAddress.String()
		}
	}
	return ""
}

// Dial connects to a TCP port of a running task.
//
// Errors: NotFound when the task is not known; Unavailable when it does not run, has no network, or nothing listens.
func (b *Backend) Dial(ctx context.Context, id compute.TaskID, port int) (net.Conn, error) {
	c, err := b.inspect(ctx, id)
	if err != nil {
		return nil, err
	}
	ip := b.address(c.Config.Labels, c.NetworkSettings.Networks)
	if ip == "" || !c.State.Running {
		return nil, errs.New(errs.Unavailable, "task %s cannot be reached: it is %s", id, c.State.Status)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp4", net.JoinHostPort(ip, strconv.Itoa(port)))
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "port %d of task %s does not answer", port, id)
	}
	return conn, nil
}
