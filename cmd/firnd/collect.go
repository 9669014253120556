// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/registry"
	"firn.dev/firn/internal/stage"
	"firn.dev/firn/internal/sweep"
)

// sweeper makes what removes garbage from the stores and checks them.
func (s *server) sweeper(done func(sweep.Result, error)) *sweep.Sweeper {
	return sweep.New(sweep.Options{
		Catalog: s.store, Blobs: s.blobs, Log: s.log, Now: time.Now, Holder: s.worker,
		Prefixes: []string{registry.KeyPrefix, stage.KeyPrefix}, Grace: s.config.GCGrace, Interval: s.config.GCInterval, Done: done,
	})
}

// collectGarbage makes the loop that collects garbage, unless the settings say never.
func (s *server) collectGarbage() {
	if s.config.GCInterval > 0 {
		s.loops["garbage collection"] = s.sweeper(newCollectMetrics(s.metrics.registry)).Run
	}
}

// newCollectMetrics gives what tells /metrics of each run of this server.
func newCollectMetrics(to prometheus.Registerer) func(sweep.Result, error) {
	runs := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "firn_gc_runs_total", Help: "Garbage collections of this server, by outcome."}, []string{"outcome"})
	removed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "firn_gc_removed_total", Help: "What garbage collections of this server removed: manifests, links of images to blobs, blobs, objects without a row.",
	}, []string{"what"})
	bytes := prometheus.NewCounter(prometheus.CounterOpts{Name: "firn_gc_removed_bytes_total", Help: "Bytes that garbage collections of this server removed."})
	last := prometheus.NewGauge(prometheus.GaugeOpts{Name: "firn_gc_last_success_timestamp_seconds", Help: "When a garbage collection of this server last succeeded."})
	took := prometheus.NewGauge(prometheus.GaugeOpts{Name: "firn_gc_last_duration_seconds", Help: "How long the last garbage collection of this server took."})
	to.MustRegister(runs, removed, bytes, last, took)
	for _, outcome := range []string{"success", "failure"} {
		runs.WithLabelValues(outcome)
	}
	return func(r sweep.Result, err error) {
		for what, n := range map[string]int{"manifest": r.Manifests, "link": r.Links, "blob": r.Blobs, "object": r.Objects} {
			removed.WithLabelValues(what).Add(float64(n))
		}
		bytes.Add(float64(r.Bytes))
		took.Set(r.Took.Seconds())
		if err != nil {
			runs.WithLabelValues("failure").Inc()
			return
		}
		runs.WithLabelValues("success").Inc()
		last.SetToCurrentTime()
	}
}

// openStored opens the stores of an installation whose server may run or not. It makes no account and takes no lock.
func openStored(ctx context.Context, cmd *cobra.Command) (*server, error) {
	c, err := loadConfig(cmd.Flags(), os.Environ)
	if err != nil {
		return nil, err
	}
	log, err := newLog(c, cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	s := &server{config: c, log: log, worker: fmt.Sprintf("firnd %s, process %d", cmd.Name(), os.Getpid()), loops: map[string]func(context.Context) error{}}
	if file, ok := strings.CutPrefix(c.Database, "sqlite:"); ok {
		if _, err := os.Stat(file); err != nil {
			return nil, errs.Wrap(err, errs.NotFound, "there is no database %s: set --data-dir or --database to those of the server", file)
		}
	}
	store, err := sqlstore.Open(ctx, c.Database, sqlstore.Options{})
	if err != nil {
		return nil, err
	}
	s.store = store
	s.closers = append(s.closers, store)
	if err := s.openBlobs(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func newGCCommand() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use: "gc", Short: "remove images and layers that nothing names any more", Args: usageArgs(cobra.NoArgs),
		Long: "Remove manifests that nothing names and layers that no image needs, once nobody has relied on them for --gc-grace, and stored\n" +
			"objects that no row of the database leads to. The server does the same every --gc-interval; this command works beside it.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := openStored(cmd.Context(), cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			run := s.sweeper(nil).Collect
			if dry {
				run = s.sweeper(nil).Preview
			}
			r, err := run(cmd.Context())
			if err != nil {
				return err
			}
			return printCollected(cmd.OutOrStdout(), r)
		},
	}
	addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&dry, "dry-run", false, "tell what would be removed, and remove nothing")
	return cmd
}

func printCollected(out io.Writer, r sweep.Result) error {
	verb := "removed"
	if r.DryRun {
		verb = "would remove"
	}
	_, err := fmt.Fprintf(out, "%s %s, %s and %s without a row: %s\n", verb,
		count(r.Manifests, "manifest"), count(r.Blobs, "layer or config"), count(r.Objects, "object"), size(r.Bytes))
	return err
}

func newCheckCommand() *cobra.Command {
	var repair bool
	cmd := &cobra.Command{
		Use: "check", Short: "compare every stored byte with the database", Args: usageArgs(cobra.NoArgs),
		Long: "Read all image layers, manifests and stage files and compare them with their digests, and look for objects that no row of the\n" +
			"database leads to. The server may run. Exit code 1 when anything is lost or damaged.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := openStored(cmd.Context(), cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			out := cmd.OutOrStdout()
			r, err := s.sweeper(nil).Check(cmd.Context(), sweep.CheckOptions{Repair: repair, Found: func(f sweep.Finding) { printFinding(out, f) }})
			if err != nil {
				return err
			}
			return printReport(out, r, repair)
		},
	}
	addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&repair, "repair", false, "move damaged content aside, so that pushing the image again heals it")
	return cmd
}

// printFinding tells one finding, with what it hits and what to do.
func printFinding(out io.Writer, f sweep.Finding) {
	fmt.Fprintf(out, "%s: %s: %s\n", f.Problem, f.What, f.Reason)
	for _, image := range f.Images {
		fmt.Fprintf(out, "  needed by %s: push it again\n", image)
	}
	if f.Moved != "" {
		fmt.Fprintf(out, "  moved to %s\n", f.Moved)
	}
}

// printReport tells the sums. Findings make the command fail.
func printReport(out io.Writer, r sweep.Report, repair bool) error {
	fmt.Fprintf(out, "checked %s, %s and %s: %s read\n", count(r.Blobs, "layer or config"), count(r.Manifests, "manifest"), count(r.Files, "stage file"), size(r.Bytes))
	fmt.Fprintf(out, "%s stored, of which %d without a row (%s; firnd gc removes them when they are old enough) and %d in quarantine\n",
		count(r.Objects, "object"), r.Orphans, size(r.OrphanBytes), r.Quarantined)
	if len(r.Findings) == 0 {
		_, err := fmt.Fprintln(out, "nothing is lost or damaged")
		return err
	}
	damaged := 0
	for _, f := range r.Findings {
		if f.Problem == sweep.Damaged && f.Moved == "" {
			damaged++
		}
	}
	if damaged > 0 && !repair {
		return errs.New(errs.Corrupt, "%s: run firnd check --repair, then push the images again and put the stage files again", count(len(r.Findings), "finding"))
	}
	return errs.New(errs.Corrupt, "%s: push the images again and put the stage files again", count(len(r.Findings), "finding"))
}

// count writes a number with its noun: "1 layer or config", "2 layers or configs".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if noun == "layer or config" {
		return fmt.Sprintf("%d layers and configs", n)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// size writes bytes for people.
func size(n int64) string {
	value, unit := float64(n), "bytes"
	for _, larger := range []string{"kB", "MB", "GB", "TB"} {
		if value < 1000 {
			break
		}
		value, unit = value/1000, larger
	}
	if unit == "bytes" {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
