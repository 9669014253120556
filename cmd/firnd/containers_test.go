// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"firn.dev/firn/internal/errs"
)

// The door opens when the engine comes, is served from then on, and moves with the engine's network.
func TestContainerDoor(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	var gateway atomic.Pointer[netip.Addr] // nil while the engine is down
	d := newContainerDoor(func(context.Context) (netip.Addr, error) {
		if at := gateway.Load(); at != nil {
			return *at, nil
		}
		return netip.Addr{}, errs.New(errs.Unavailable, "the engine is down")
	}, port)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "inside") }), ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(d) }()
	opened := make(chan error, 1)
	log := &buffer{}
	go func() { opened <- d.Open(t.Context(), slog.New(slog.NewTextHandler(log, nil))) }()

	if _, err := d.Find(t.Context()); !errs.Is(err, errs.Unavailable) || errs.MessageOf(err) != "the engine is down" {
		t.Errorf("without an engine: %v", err)
	}
	for deadline := time.Now().Add(patience); !strings.Contains(log.String(), "the engine is down"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the log does not say that the engine is down")
		}
	}
	first := netip.MustParseAddr("127.0.0.2")
	gateway.Store(&first)
	_, err = d.Find(t.Context())
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "stop what uses the port, or choose another --listen") {
		t.Errorf("with a taken port: %v", err)
	}
	free.Close()
	if err := <-opened; err != nil {
		t.Error(err)
	}
	for _, address := range []string{"127.0.0.2", "127.0.0.3"} {
		at := netip.MustParseAddr(address)
		gateway.Store(&at)
		for range 2 {
			found, err := d.Find(t.Context())
			if err != nil || found.Host != address || found.Port != port {
				t.Fatalf("%+v, %v", found, err)
			}
			if _, text := get(t, fmt.Sprintf("http://%s:%d/", found.Host, found.Port)); text != "inside" {
				t.Errorf("at %s: %q", address, text)
			}
		}
		if got := d.Addr().String(); got != fmt.Sprintf("%s:%d", address, port) {
			t.Error(got)
		}
	}
	wantClosed(t, fmt.Sprintf("127.0.0.2:%d", port))
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != http.ErrServerClosed {
		t.Error(err)
	}
	wantClosed(t, fmt.Sprintf("127.0.0.3:%d", port))
}

// wantClosed waits until nobody listens: the system closes a socket when the last goroutine that waited on it has left.
func wantClosed(t *testing.T, address string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		_ = c.Close()
		if time.Now().After(deadline) {
			t.Errorf("%s is still open", address)
			return
		}
	}
}

// A door that was never opened closes, too.
func TestContainerDoorNeverOpened(t *testing.T) {
	t.Parallel()
	d := newContainerDoor(nil, 1)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := d.Accept(); err != net.ErrClosed {
		t.Error(err)
	}
}
