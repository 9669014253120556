// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/scheduler"
)

// containerDoor is where containers reach the server: this host's address in their network, at the same port as for everybody.
// They reach nothing else. The address is the engine's to give, so the door opens when the engine answers, which may be long
// after the server started, and moves when the network was made anew.
//
// It is a net.Listener of whatever address is current, and safe for concurrent use.
type containerDoor struct {
	gateway func(context.Context) (netip.Addr, error)
	port    int

	conns chan net.Conn
	shut  chan struct{}
	once  sync.Once

	mu      sync.Mutex
	current net.Listener // nil before the door was opened
	at      netip.Addr
}

func newContainerDoor(gateway func(context.Context) (netip.Addr, error), port int) *containerDoor {
	return &containerDoor{gateway: gateway, port: port, conns: make(chan net.Conn), shut: make(chan struct{})}
}

// Find opens the door unless it is open, and tells where it is.
//
// Errors: Unavailable when the engine does not answer or the port is taken.
func (d *containerDoor) Find(ctx context.Context) (scheduler.ContainerDoor, error) {
	at, err := d.gateway(ctx)
	if err != nil {
		return scheduler.ContainerDoor{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current == nil || d.at != at {
		l, err := net.Listen("tcp", net.JoinHostPort(at.String(), strconv.Itoa(d.port)))
		if err != nil {
			return scheduler.ContainerDoor{}, errs.Wrap(err, errs.Unavailable,
				"cannot listen on %s:%d, where containers reach the server: stop what uses the port, or choose another --listen", at, d.port)
		}
		if d.current != nil {
			_ = d.current.Close() // its address is gone
		}
		d.current, d.at = l, at
		go d.accept(l)
	}
	return scheduler.ContainerDoor{Host: at.String(), Port: d.port}, nil
}

// Open opens the door as soon as that is possible.
func (d *containerDoor) Open(ctx context.Context, log *slog.Logger) error {
	said := ""
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		_, err := d.Find(ctx)
		if err == nil {
			return nil
		}
		if text := errs.MessageOf(err); text != said && ctx.Err() == nil {
			said = text
			log.Error("jobs wait: their containers could not reach the server", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (d *containerDoor) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // closed
		}
		select {
		case d.conns <- c:
		case <-d.shut:
			_ = c.Close()
			return
		}
	}
}

// Accept implements net.Listener.
func (d *containerDoor) Accept() (net.Conn, error) {
	select {
	case c := <-d.conns:
		return c, nil
	case <-d.shut:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (d *containerDoor) Close() error {
	d.once.Do(func() { close(d.shut) })
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current == nil {
		return nil
	}
	return d.current.Close()
}

// Addr implements net.Listener; the address is unspecified before the door was opened.
func (d *containerDoor) Addr() net.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &net.TCPAddr{IP: d.at.AsSlice(), Port: d.port}
}
