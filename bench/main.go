// SPDX-License-Identifier: Apache-2.0

// Command bench measures Firn beside a peer in one run and prints ratios: `make bench`, `make bench B=submit` for one, or
// `make bench B=registry` for all whose name starts with registry_.
//
// Each line is "bench <name> ours=<x> peer=<what>:<y> ratio=<r>"; the same numbers go to bench/results.json, which keeps what was
// measured before and not again. It starts the programs in bin/ itself, on free ports and directories of its own, and sends traffic
// to loopback only.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"firn.dev/firn/internal/cachedisk"
)

// measurement is one line of the result.
type measurement struct {
	Name   string         `json:"name"`
	At     time.Time      `json:"at"`
	Ours   float64        `json:"ours"`
	Unit   string         `json:"unit"`
	Peer   string         `json:"peer"`
	Theirs float64        `json:"theirs"`
	Ratio  float64        `json:"ratio"` // ours / theirs, or the median of several
	Detail map[string]any `json:"detail,omitempty"`
}

// bench measures one thing.
type bench struct {
	name string
	run  func(ctx context.Context) ([]measurement, error)
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == bareRegistryCommand {
		if err := serveBareRegistry(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	}
	if len(os.Args) > 1 && os.Args[1] == slowDiskCommand {
		cachedisk.Main(os.Args[2:])
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	benches := []bench{
		{"select1", select1}, {"submit", submit}, {"show", show}, {"idle", idle}, {"job_start", jobStart}, {"job_user_line", jobUserLine},
		{"validate", validate},
		// Disks of clouds lend speed and take it back after the large writes: those come last.
		{"registry_small", onPlaces(smallImages)}, {"registry_small_slow", onSlowDisk(onPlaces(smallImagesSlow))}, {"registry_head", onPlaces(headManifest)}, {"registry_tags", onPlaces(listTags)},
		{"registry_push", onPlaces(pushLarge)}, {"registry_pull_1", onPlaces(pullOne)}, {"registry_pull_8", onPlaces(pullEight)},
		{"registry_memory", onPlaces(registryMemory)}, {"registry_docker", onPlaces(dockerImage)},
	}
	for _, b := range benches {
		asked := func(name string) bool { return b.name == name || strings.HasPrefix(b.name, name+"_") }
		if len(os.Args) > 1 && !slices.ContainsFunc(os.Args[1:], asked) {
			continue
		}
		found, err := b.run(ctx)
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench %s: %v\n", b.name, err)
			os.Exit(1)
		}
		for _, m := range found {
			fmt.Printf("bench %s ours=%.4g%s peer=%s:%.4g%s ratio=%.3g\n", m.Name, m.Ours, m.Unit, m.Peer, m.Theirs, m.Unit, m.Ratio)
		}
		if err := save("bench/results.json", found); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	}
}

// save writes the results beside those of other names that the file has.
func save(name string, results []measurement) error {
	var file struct {
		Results []measurement `json:"results"`
	}
	if data, err := os.ReadFile(name); err == nil {
		if err := json.Unmarshal(data, &file); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	file.Results = append(slices.DeleteFunc(file.Results, func(old measurement) bool {
		return slices.ContainsFunc(results, func(m measurement) bool { return m.Name == old.Name })
	}), results...)
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o644)
}

// compared makes a measurement of two numbers.
func compared(name, unit string, ours float64, peer string, theirs float64, detail map[string]any) measurement {
	return measurement{Name: name, At: time.Now().UTC(), Ours: ours, Unit: unit, Peer: peer, Theirs: theirs, Ratio: ours / theirs, Detail: detail}
}

// median gives the middle of the values.
func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}
